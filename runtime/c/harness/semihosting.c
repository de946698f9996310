/* The board of an emulated Arm or RISC-V machine: files of the host named `input` and `output`. */
#include "semihosting.h"

#include "board.h"

#define BUFFER 1024u /* bytes; the smallest machine has 16 KB */
#define STACK 0x10000u
#define READ_BINARY 1u
#define WRITE_BINARY 5u
#define APPLICATION_EXIT 0x20026u

extern unsigned char _end[], _stack_top[]; /* from bare.ld */

static uint8_t input[BUFFER], output[BUFFER];
static uint32_t at, held, written;

static uintptr_t file(const char *name, uintptr_t length, uintptr_t how) {
    uintptr_t arguments[] = {(uintptr_t)name, how, length};
    return semihosting(SYS_OPEN, arguments);
}

static void refill(void) {
    static uintptr_t handle;
    if (!handle) handle = file("input", 5, READ_BINARY);
    uintptr_t arguments[] = {handle, (uintptr_t)input, BUFFER};
    uintptr_t missing = semihosting(SYS_READ, arguments);
    held = missing < BUFFER ? BUFFER - (uint32_t)missing : 0;
    at = 0;
    if (!held) board_end(BOARD_NO_INPUT);
}

static void flush(void) {
    static uintptr_t handle;
    if (!handle) handle = file("output", 6, WRITE_BINARY);
    uintptr_t arguments[] = {handle, (uintptr_t)output, written};
    if (written && semihosting(SYS_WRITE, arguments)) board_fault();
    written = 0;
}

void board_read(void *to, uint32_t count) {
    for (uint8_t *next = to; count; count--) {
        if (at == held) refill();
        *next++ = input[at++];
    }
}

void board_write(const void *from, uint32_t count) {
    for (const uint8_t *next = from; count; count--) {
        if (written == BUFFER) flush();
        output[written++] = *next++;
    }
}

void board_end(int status) {
    uintptr_t arguments[] = {APPLICATION_EXIT, (uintptr_t)status};
    flush();
    semihosting(SYS_EXIT_EXTENDED, arguments);
    for (;;) {
    }
}

void board_fault(void) {
    uintptr_t arguments[] = {APPLICATION_EXIT, BOARD_FAULT};
    semihosting(SYS_WRITE0, "the processor met a fault\n");
    semihosting(SYS_EXIT_EXTENDED, arguments);
    for (;;) {
    }
}

/* Below the stack lie the variables; more than 64 KB of it is never overwritten. */
unsigned char *board_stack_limit(void) {
    return (uint32_t)(_stack_top - _end) > STACK ? _stack_top - STACK : _end;
}

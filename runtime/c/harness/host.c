/* The board of a program of an operating system: standard input and output. */
#include <stdio.h>
#include <stdlib.h>

#include "board.h"

#ifdef _WIN32
#include <fcntl.h>
#include <io.h>
#endif

#define STACK 0x10000 /* bytes that may be overwritten below a frame */

static void binary(void) {
#ifdef _WIN32
    _setmode(_fileno(stdin), _O_BINARY);
    _setmode(_fileno(stdout), _O_BINARY);
#endif
}

void board_read(void *to, uint32_t count) {
    static int ready;
    if (!ready) binary();
    ready = 1;
    if (fread(to, 1, count, stdin) != count) board_end(BOARD_NO_INPUT);
}

void board_write(const void *from, uint32_t count) {
    fwrite(from, 1, count, stdout);
}

void board_end(int status) {
    if (fflush(stdout)) status = BOARD_FAULT;
    exit(status);
}

void board_start_ticks(void) {
}

uint64_t board_ticks(void) {
    return 0;
}

unsigned char *board_stack_limit(void) {
    static unsigned char *limit;
    if (!limit) limit = (unsigned char *)__builtin_frame_address(0) - STACK;
    return limit;
}

/* The board of an ATmega under simavr: input behind the program in flash, output as hexadecimal lines on the UART. */
#include <avr/interrupt.h>
#include <avr/io.h>
#include <avr/pgmspace.h>
#include <avr/sleep.h>

#include "board.h"

#define LINE 32u /* bytes of output a line */

extern const char __data_load_end[]; /* where the program ends in flash; from the linker script */
extern unsigned char __heap_start[];

static uint32_t at;
static uint8_t column;
static volatile uint32_t laps;

ISR(TIMER1_OVF_vect) {
    laps++;
}

static void put(char character) {
    UCSR0A |= 1 << U2X0;
    UCSR0B = 1 << TXEN0;
    UDR0 = (uint8_t)character;
    __builtin_avr_delay_cycles(100); /* simavr sleeps where the register that says when it is sent is read */
}

void board_read(void *to, uint32_t count) {
    if (!at) at = pgm_get_far_address(__data_load_end);
    for (uint8_t *next = to; count; count--) {
        if (at > FLASHEND) board_end(BOARD_NO_INPUT);
        *next++ = pgm_read_byte_far(at++);
    }
}

void board_write(const void *from, uint32_t count) {
    for (const uint8_t *next = from; count; count--, next++) {
        put("0123456789abcdef"[*next >> 4]);
        put("0123456789abcdef"[*next & 15]);
        if (++column < LINE) continue;
        put('\n');
        column = 0;
    }
}

/* A last line `=STATUS`; then asleep for ever, which is where simavr ends. */
void board_end(int status) {
    if (column) put('\n');
    put('=');
    put((char)('0' + status));
    put('\n');
    cli();
    sleep_enable();
    for (;;) sleep_cpu();
}

void board_start_ticks(void) {
    TCCR1A = 0;
    TIMSK1 = 1 << TOIE1;
    TCCR1B = 1 << CS10; /* a tick a cycle */
    sei();
}

uint64_t board_ticks(void) {
    uint32_t before;
    uint16_t now;
    do {
        before = laps;
        now = TCNT1;
    } while (before != laps);
    return ((uint64_t)before << 16) + now;
}

unsigned char *board_stack_limit(void) {
    return __heap_start;
}

/* What harness.c needs of the machine that it runs on: one .c file a kind of machine implements it. */
#ifndef KIT_BOARD_H
#define KIT_BOARD_H

#include <stdint.h>

/* Read exactly `count` bytes of the input; end the program with BOARD_NO_INPUT where there are fewer. */
void board_read(void *to, uint32_t count);

/* Write `count` bytes of the output. */
void board_write(const void *from, uint32_t count);

/* Write what is buffered and end the program with an exit status. */
void board_end(int status);

/* Start the counter of instructions or cycles, and read it. A machine without one returns 0. */
void board_start_ticks(void);
uint64_t board_ticks(void);

/* The lowest address down to which the stack may be overwritten. */
unsigned char *board_stack_limit(void);

enum { BOARD_DONE = 0, BOARD_NO_INPUT = 3, BOARD_BAD_MODE = 4, BOARD_STACK_FULL = 5, BOARD_FAULT = 6 };

#endif

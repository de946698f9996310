/* Start-up, semihosting and counter of a Cortex-M: registers as in the Armv6-M and Armv7-M manuals. */
#include "board.h"
#include "semihosting.h"

#define REGISTER(address) (*(volatile uint32_t *)(address))
#define SYST_CSR REGISTER(0xE000E010u)
#define SYST_RVR REGISTER(0xE000E014u)
#define SYST_CVR REGISTER(0xE000E018u)
#define CPACR REGISTER(0xE000ED88u)
#define LARGEST 0xFFFFFFu /* SysTick has 24 bits and counts down */

extern uint32_t _data_source[], _data_start[], _data_end[], _bss_start[], _bss_end[]; /* from bare.ld */
extern unsigned char _stack_top[];

int main(void);

static volatile uint32_t laps;

static void count_lap(void) {
    laps++;
}

void _start(void) {
    const uint32_t *from = _data_source;
    for (uint32_t *to = _data_start; to < _data_end; to++) *to = *from++;
    for (uint32_t *to = _bss_start; to < _bss_end; to++) *to = 0;
#ifdef __ARM_FP
    CPACR |= 0xFu << 20; /* full access to the floating-point unit */
    __asm__ volatile("dsb\n isb");
#endif
    main();
}

static const struct {
    const void *stack;
    void (*handlers[15])(void);
} vectors __attribute__((section(".vectors"), used)) = {
    _stack_top,
    {_start, board_fault, board_fault, board_fault, board_fault, board_fault, 0, 0, 0, 0, board_fault, board_fault, 0,
     board_fault, count_lap},
};

uintptr_t semihosting(uintptr_t operation, const void *argument) {
    register uintptr_t r0 __asm__("r0") = operation;
    register const void *r1 __asm__("r1") = argument;
    __asm__ volatile("bkpt 0xAB" : "+r"(r0) : "r"(r1) : "memory");
    return r0;
}

void board_start_ticks(void) {
    SYST_RVR = LARGEST;
    SYST_CVR = 0;
    SYST_CSR = 7; /* on, with its interrupt, from the processor's clock */
}

uint64_t board_ticks(void) {
    uint32_t before, now;
    do {
        before = laps;
        now = SYST_CVR;
    } while (before != laps);
    return ((uint64_t)before << 24) + (LARGEST - now);
}

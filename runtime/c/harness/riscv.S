/* Start-up, semihosting and counter of a 32-bit RISC-V in machine mode. */
    .option arch, +zicsr

    .section .vectors, "ax"
    .global _start
_start:
    .option push
    .option norelax
    la gp, __global_pointer$
    .option pop
    la sp, _stack_top
    la t0, trap
    csrw mtvec, t0
    la t0, _data_source
    la t1, _data_start
    la t2, _data_end
copy:
    bgeu t1, t2, cleared
    lw t3, 0(t0)
    sw t3, 0(t1)
    addi t0, t0, 4
    addi t1, t1, 4
    j copy
cleared:
    la t1, _bss_start
    la t2, _bss_end
clear:
    bgeu t1, t2, ready
    sw zero, 0(t1)
    addi t1, t1, 4
    j clear
ready:
    call main

    .balign 4
trap:
    la sp, _stack_top
    j board_fault

    /* The three instructions that mark a call must be 4 bytes each and lie in one page. */
    .text
    .balign 16
    .global semihosting
    .option push
    .option norvc
semihosting:
    slli zero, zero, 0x1f
    ebreak
    srai zero, zero, 7
    ret
    .option pop

    .global board_ticks
board_ticks:
    csrr a1, minstreth
    csrr a0, minstret
    csrr t0, minstreth
    bne a1, t0, board_ticks
    ret

    .global board_start_ticks
board_start_ticks:
    ret

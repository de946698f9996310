/* Calls to the debugger or emulator that runs an Arm or RISC-V program ("semihosting", Arm's document IHI 0057). */
#ifndef KIT_SEMIHOSTING_H
#define KIT_SEMIHOSTING_H

#include <stdint.h>

enum { SYS_OPEN = 0x01, SYS_WRITE0 = 0x04, SYS_WRITE = 0x05, SYS_READ = 0x06, SYS_EXIT_EXTENDED = 0x20 };

uintptr_t semihosting(uintptr_t operation, const void *argument);

/* Say why on the emulator's standard error, and end. */
void board_fault(void);

#endif

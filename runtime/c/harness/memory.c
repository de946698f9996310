/* The functions that compilers call on their own, for programs that have no C library. */
#include <stddef.h>

#if defined(__GNUC__) && !defined(__clang__)
#pragma GCC optimize("no-tree-loop-distribute-patterns") /* or gcc makes each loop a call of its own function */
#endif

void *memset(void *to, int value, size_t count) {
    for (unsigned char *next = to; count; count--) *next++ = (unsigned char)value;
    return to;
}

void *memcpy(void *to, const void *from, size_t count) {
    const unsigned char *source = from;
    for (unsigned char *next = to; count; count--) *next++ = *source++;
    return to;
}

void *memmove(void *to, const void *from, size_t count) {
    unsigned char *next = to;
    const unsigned char *source = from;
    if (next <= source) return memcpy(to, from, count);
    while (count--) next[count] = source[count];
    return to;
}

int memcmp(const void *one, const void *other, size_t count) {
    const unsigned char *first = one, *second = other;
    for (; count; count--, first++, second++) {
        if (*first != *second) return *first - *second;
    }
    return 0;
}

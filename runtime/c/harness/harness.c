/* Feeds images to a model's C code and writes what it answers. Compiled with
 *
 *   KIT_HEADER   the model's header, in quotes
 *   KIT_NAME     the prefix of its functions, KIT_UPPER that of its macros
 *   KIT_WHOLE    optional: call NAME_probabilities on whole images instead of begin, add_row and finish
 *   KIT_FRAME    optional: the layout of a camera's frames, which are read instead of images
 *   KIT_FRAME_BYTES  of a pixel then
 *
 * Input: uint32 mode, uint32 count of images, then the images, row by row. Output: uint32 1 where probabilities are
 * uint32 in units of 1/65536, or 0 where they are float32; then, by mode,
 *
 *   RUN       an image: its probabilities, 4 bytes each, and its label, int32
 *   SELFTEST  int32: how many golden examples do not agree; no images
 *   COUNT     an image: uint64 ticks of the machine's counter inside the model's functions
 *   STACK     an image: uint32 bytes of stack that the model's functions use
 *
 * All numbers are little-endian.
 */
#include KIT_HEADER
#include "board.h"

#define JOIN_(a, b) a##_##b
#define JOIN(a, b) JOIN_(a, b)
#define MODEL(what) JOIN(KIT_NAME, what)
#define SIZE(what) JOIN(KIT_UPPER, what)

#ifdef KIT_FRAME
#define ROW ((uint32_t)SIZE(FRAME_WIDTH) * KIT_FRAME_BYTES)
#define ROWS SIZE(FRAME_HEIGHT)
#else
#define ROW ((uint32_t)SIZE(WIDTH) * SIZE(CHANNELS))
#define ROWS SIZE(HEIGHT)
#endif
#ifdef KIT_WHOLE
#define BLOCKS 1u
#define BLOCK (ROW * ROWS)
#else
#define BLOCKS ((uint32_t)ROWS)
#define BLOCK ROW
#endif

#define PAINT 0xA5u
#if defined(__AVR__)
#define MARGIN 32u /* bytes below a frame that its own function may write */
#elif defined(__arm__) || defined(__riscv)
#define MARGIN 64u
#else
#define MARGIN 1024u
#endif

enum { RUN, SELFTEST, COUNT, STACK };
enum { NOTHING, BEGIN, ADD_BLOCK, FINISH };

static uint8_t pixels[BLOCK];
static MODEL(probability) probabilities[SIZE(CLASSES)];
static int32_t label;
static uint32_t mode, deepest;
static uint64_t ticks;
static uintptr_t stack_top;
#ifdef KIT_FRAME
static MODEL(frame) state;
#elif !defined(KIT_WHOLE)
static MODEL(state) state;
#endif

static uint32_t read_word(void) {
    uint8_t bytes[4];
    board_read(bytes, 4);
    return bytes[0] | (uint32_t)bytes[1] << 8 | (uint32_t)bytes[2] << 16 | (uint32_t)bytes[3] << 24;
}

static void write_word(uint32_t word) {
    uint8_t bytes[4];
    for (int byte = 0; byte < 4; byte++) bytes[byte] = (uint8_t)(word >> 8 * byte);
    board_write(bytes, 4);
}

static uint32_t bits(MODEL(probability) probability) {
    union { MODEL(probability) value; uint32_t bits; } both;
    both.value = probability;
    return both.bits;
}

#if defined(__arm__) || defined(__aarch64__)
#define STACK_POINTER(into) __asm__ volatile("mov %0, sp" : "=r"(into))
#elif defined(__riscv)
#define STACK_POINTER(into) __asm__ volatile("mv %0, sp" : "=r"(into))
#elif defined(__x86_64__)
#define STACK_POINTER(into) __asm__ volatile("movq %%rsp, %0" : "=r"(into))
#elif defined(__AVR__)
#define STACK_POINTER(into) __asm__ volatile("in %A0, 0x3d\n in %B0, 0x3e\n adiw %0, 1" : "=w"(into))
#else
#define STACK_POINTER(into) ((into) = (uintptr_t)__builtin_frame_address(0))
#endif

/* One call of the model. The padding keeps the model's frames clear of those of paint(). */
static __attribute__((noinline)) void call(int what) {
    volatile uint8_t padding[2 * MARGIN];
    padding[0] = 0;
    STACK_POINTER(stack_top);
    switch (what) {
#ifdef KIT_WHOLE
    case ADD_BLOCK: label = MODEL(probabilities)(pixels, probabilities); break;
#elif defined(KIT_FRAME)
    case BEGIN: MODEL(frame_begin)(&state); break;
    case ADD_BLOCK: MODEL(frame_add_row)(&state, pixels, KIT_FRAME); break;
    case FINISH: label = MODEL(frame_finish)(&state, probabilities); break;
#else
    case BEGIN: MODEL(begin)(&state); break;
    case ADD_BLOCK: MODEL(add_row)(&state, pixels); break;
    case FINISH: label = MODEL(finish)(&state, probabilities); break;
#endif
    default: break;
    }
    (void)padding[0];
}

/* Downwards, as a stack that the system extends a page at a time wants it. */
static __attribute__((noinline)) void paint(void) {
    uintptr_t limit = (uintptr_t)board_stack_limit();
    for (uintptr_t at = (uintptr_t)__builtin_frame_address(0) - MARGIN; at >= limit; at--) {
        *(volatile uint8_t *)at = PAINT;
    }
}

static void measure_stack(int what) {
    paint();
    call(what);
    uintptr_t limit = (uintptr_t)board_stack_limit(), lowest = limit;
    while (lowest < stack_top && *(volatile uint8_t *)lowest == PAINT) lowest++;
    if (lowest == limit) board_end(BOARD_STACK_FULL);
    if (deepest < stack_top - lowest) deepest = (uint32_t)(stack_top - lowest);
}

static void measure_ticks(int what) {
    uint64_t start = board_ticks();
    call(NOTHING);
    uint64_t middle = board_ticks();
    call(what);
    ticks += board_ticks() - middle - (middle - start);
}

static void step(int what) {
    if (mode == COUNT) {
        measure_ticks(what);
    } else if (mode == STACK) {
        measure_stack(what);
    } else {
        call(what);
    }
}

static void classify(void) {
    step(BEGIN);
    for (uint32_t block = 0; block < BLOCKS; block++) {
        board_read(pixels, BLOCK);
        step(ADD_BLOCK);
    }
    step(FINISH);
}

static void answer(void) {
    if (mode == COUNT) {
        write_word((uint32_t)ticks);
        write_word((uint32_t)(ticks >> 32));
        ticks = 0;
    } else if (mode == STACK) {
        write_word(deepest);
    } else {
        for (int k = 0; k < SIZE(CLASSES); k++) write_word(bits(probabilities[k]));
        write_word((uint32_t)label);
    }
}

int main(void) {
    mode = read_word();
    uint32_t count = read_word();
    if (mode > STACK) board_end(BOARD_BAD_MODE);
    write_word((MODEL(probability))0.5f == 0);
    if (mode == SELFTEST) write_word((uint32_t)(int32_t)MODEL(selftest)());
    if (mode == COUNT) board_start_ticks();
    for (uint32_t image = 0; image < count; image++) {
        classify();
        answer();
    }
    board_end(BOARD_DONE);
    return 0;
}

/* The smallest program with a model, or, without KIT_MODEL, the same without it: the difference is what it takes. */
#include KIT_HEADER

#define JOIN_(a, b) a##_##b
#define JOIN(a, b) JOIN_(a, b)

#ifdef KIT_MODEL
static uint8_t row[(size_t)JOIN(KIT_UPPER, WIDTH) * JOIN(KIT_UPPER, CHANNELS)];
static JOIN(KIT_NAME, state) state;
static JOIN(KIT_NAME, probability) probabilities[JOIN(KIT_UPPER, CLASSES)];
#endif

int main(void) {
#ifdef KIT_MODEL
    JOIN(KIT_NAME, begin)(&state);
    JOIN(KIT_NAME, add_row)(&state, row);
    return JOIN(KIT_NAME, finish)(&state, probabilities);
#else
    return 0;
#endif
}

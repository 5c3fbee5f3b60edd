/* Unit tests in C: CHECK says where and what failed and ends the program; `RUN(test)` names what passed. */
#ifndef RM_CHECK_H
#define RM_CHECK_H

#include <stdio.h>
#include <stdlib.h>

#define CHECK(condition)                                                                       \
    do {                                                                                       \
        if (!(condition)) {                                                                    \
            (void)fprintf(stderr, "%s:%d: %s: not %s\n", __FILE__, __LINE__, __func__, #condition); \
            exit(1);                                                                           \
        }                                                                                      \
    } while (0)

#define RUN(test)                 \
    do {                          \
        test();                   \
        (void)printf("  %s\n", #test); \
    } while (0)

#endif

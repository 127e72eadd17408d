/* What a study (study.c) and the judgement of it (study_limits.c) share. Private to engine/bench. */
#ifndef ENGINE_BENCH_STUDY_PRIVATE_H
#define ENGINE_BENCH_STUDY_PRIVATE_H

#include "engine/bench/study.h"

/* Reads the set of now once by spec, for at most seconds; what came of it is in s->scratch. */
bool study_pass(struct study *s, const struct study_spec *spec, enum study_phase phase, unsigned step, unsigned repeat,
                double seconds, struct err *err_r) ERR_CHECK;
/* 0 where no time passed. */
double study_per_second(double amount, double seconds);
/* After the last pass: the knee, and what limits; reads once more where sizes must be told apart. */
bool study_judge(struct study *s, struct err *err_r) ERR_CHECK;

#endif

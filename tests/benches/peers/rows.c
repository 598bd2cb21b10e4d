/* What one row costs the peers, without a scripting language between: LightGBM's single-row fast path, its batch and
 * its contributions, XGBoost's in-place prediction, and a model compiled to C by tl2cgen. Prints lines "name ns".
 *
 *   rows ROWS.f64 WIDTH lib_lightgbm.so MODEL.txt libxgboost.so MODEL.json tl2cgen.so
 */
#include <dlfcn.h>
#include <stdint.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <time.h>

enum { RUN = 32, REPEATS = 200, MAX_WIDTH = 256 };

typedef union { int missing; double fvalue; int qvalue; } Entry;

static double *rows;
static long n_rows;
static int width;
static int (*fast)(void *, const void *, int64_t *, double *);
static int (*matrix)(void *, const void *, int, int32_t, int32_t, int, int, int, int, const char *, int64_t *, double *);
static int (*dense)(void *, const char *, const char *, void *, const uint64_t **, uint64_t *, const float **);
static void (*compiled)(Entry *, int, double *);
static void *booster, *fast_config, *xgb;
static double out[1 << 20];
static volatile double sink;

static void *symbol(void *library, const char *name) {
    void *found = dlsym(library, name);
    if (!found) { fprintf(stderr, "%s: %s\n", name, dlerror()); exit(1); }
    return found;
}

static void *library(const char *path) {
    void *found = dlopen(path, RTLD_NOW | RTLD_LOCAL);
    if (!found) { fprintf(stderr, "%s\n", dlerror()); exit(1); }
    return found;
}

static void check(int failed, const char *what) {
    if (failed) { fprintf(stderr, "%s failed\n", what); exit(1); }
}

static void lightgbm_row(const double *row) {
    int64_t n; double p;
    fast(fast_config, row, &n, &p);
    sink = p;
}

static void lightgbm_reasons(const double *row) {
    int64_t n;
    matrix(booster, row, 1, 1, width, 1, 3, 0, -1, "num_threads=1", &n, out);
    sink = out[0];
}

static void xgboost_row(const double *row) {
    char array[160];
    const uint64_t *shape; uint64_t dim; const float *result;
    snprintf(array, sizeof array, "{\"data\":[%llu,true],\"shape\":[1,%d],\"typestr\":\"<f8\",\"version\":3}",
             (unsigned long long)(uintptr_t)row, width);
    dense(xgb, array, "{\"type\":0,\"iteration_begin\":0,\"iteration_end\":0,\"strict_shape\":false,\"missing\":NaN,\"cache_id\":0}",
          NULL, &shape, &dim, &result);
    sink = result[0];
}

static void compiled_row(const double *row) {
    Entry entry[MAX_WIDTH];
    double p;
    for (int k = 0; k < width; k++) {
        if (row[k] != row[k]) entry[k].missing = -1; else entry[k].fvalue = row[k];
    }
    compiled(entry, 0, &p);
    sink = p;
}

static double now(void) {
    struct timespec t;
    clock_gettime(CLOCK_MONOTONIC, &t);
    return t.tv_sec * 1e9 + t.tv_nsec;
}

static int ascending(const void *a, const void *b) {
    double x = *(const double *)a, y = *(const double *)b;
    return (x > y) - (x < y);
}

/* Median over runs of the nanoseconds a row took. */
static void measure(const char *name, void (*one)(const double *), int run) {
    double took[REPEATS];
    long at = 0;
    for (int k = 0; k < REPEATS; k++) {
        double begun = now();
        for (int r = 0; r < run; r++) { one(rows + at * width); at = (at + 1) % n_rows; }
        took[k] = (now() - begun) / run;
    }
    qsort(took, REPEATS, sizeof *took, ascending);
    printf("%s %.1f\n", name, took[REPEATS / 2]);
}

static void measure_batch(void) {
    double took[5];
    for (int k = 0; k < 5; k++) {
        int64_t n;
        double begun = now();
        matrix(booster, rows, 1, (int32_t)n_rows, width, 1, 0, 0, -1, "num_threads=1", &n, out);
        took[k] = (now() - begun) / n_rows;
    }
    qsort(took, 5, sizeof *took, ascending);
    printf("lightgbm_batch %.1f\n", took[2]);
}

int main(int argc, char **argv) {
    if (argc != 8) { fprintf(stderr, "usage: see the head of this file\n"); return 2; }
    width = atoi(argv[2]);
    FILE *file = fopen(argv[1], "rb");
    if (!file || width < 1 || width > MAX_WIDTH) { fprintf(stderr, "%s: no rows\n", argv[1]); return 1; }
    fseek(file, 0, SEEK_END);
    n_rows = ftell(file) / (long)(sizeof(double) * width);
    rewind(file);
    rows = malloc(n_rows * width * sizeof *rows);
    check(fread(rows, sizeof(double) * width, n_rows, file) != (size_t)n_rows, "reading rows");

    void *lightgbm = library(argv[3]);
    int (*create)(const char *, int *, void **) = symbol(lightgbm, "LGBM_BoosterCreateFromModelfile");
    int (*init)(void *, int, int, int, int, int32_t, const char *, void **) =
        symbol(lightgbm, "LGBM_BoosterPredictForMatSingleRowFastInit");
    fast = symbol(lightgbm, "LGBM_BoosterPredictForMatSingleRowFast");
    matrix = symbol(lightgbm, "LGBM_BoosterPredictForMat");
    int iterations;
    check(create(argv[4], &iterations, &booster), "loading the LightGBM model");
    check(init(booster, 0, 0, -1, 1, width, "num_threads=1", &fast_config), "LightGBM's fast path");

    void *xgboost = library(argv[5]);
    int (*make)(const void *, uint64_t, void **) = symbol(xgboost, "XGBoosterCreate");
    int (*load)(void *, const char *) = symbol(xgboost, "XGBoosterLoadModel");
    int (*set)(void *, const char *, const char *) = symbol(xgboost, "XGBoosterSetParam");
    dense = symbol(xgboost, "XGBoosterPredictFromDense");
    check(make(NULL, 0, &xgb) || load(xgb, argv[6]) || set(xgb, "nthread", "1"), "loading the XGBoost model");
    compiled = symbol(library(argv[7]), "predict");

    measure("lightgbm_fast", lightgbm_row, RUN);
    measure("treelite", compiled_row, RUN);
    measure("xgboost", xgboost_row, RUN);
    measure("lightgbm_reasons", lightgbm_reasons, 4);
    measure_batch();
    return 0;
}

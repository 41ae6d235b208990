// The passes of a circuit, and its M-steps. A block of nodes is `(units, width)`: a column is a row of data. Blocks of threads
// are 32 columns by 32 units, and every sum is made in one order, so that results do not depend on how threads are run.

typedef unsigned short u16;

#define SIDE 32
// A column whose largest value is below this has lost too much, as on the CPU: 2^-64.
#define UNDERFLOW 5.421011e-20f

// The largest of what the threads of a column have.
__device__ float largest(float value, float (*shared)[SIDE + 1]) {
    int x = threadIdx.x, y = threadIdx.y;
    __syncthreads();
    shared[y][x] = value;
    __syncthreads();
    for (int half = SIDE / 2; half > 0; half /= 2) {
        if (y < half) shared[y][x] = fmaxf(shared[y][x], shared[y + half][x]);
        __syncthreads();
    }
    return shared[0][x];
}

// The row of a table that a code means: that of missing values, the last, for all beyond it.
__device__ int row_of(const u16 *codes, int variables, int row, int categories) {
    int code = codes[(size_t)row * variables];
    return code < categories ? code : categories;
}

// A block, and which factors it is the product of.
struct Product {
    float *out;
    int *exponents;
    long long first;
    int factors, units;
};

// A block below, and a leaf, where there are such: `table (categories + 1, units)` and `powers` are the leaf's, `codes` those of
// its variable, one every `variables`.
struct Factor {
    const float *below;
    const int *below_exponents;
    const float *table;
    const int *powers;
    const u16 *codes;
    long long categories;
};

// Each block becomes the product of its factors, and its columns are brought to 1/2..1 by powers of two. One without factors
// has its values already.
extern "C" __global__ void multiply(
    const Product *products, const Factor *factors, int *lost, int variables, int n, int width
) {
    __shared__ float tile[SIDE][SIDE + 1];
    Product product = products[blockIdx.y];
    float *out = product.out;
    int x = threadIdx.x, y = threadIdx.y, first_column = blockIdx.x * SIDE, column = first_column + x, units = product.units;
    bool here = column < n, begun = product.factors == 0;
    int exponent = begun && here ? product.exponents[column] : 0;
    // What is still to be divided by, so that values are written once a factor.
    float scale = 1;
    for (int f = 0; f < product.factors || (f == 0 && begun); f++) {
        Factor factor = {0, 0, 0, 0, 0, 0};
        if (product.factors > 0) factor = factors[product.first + f];
        int categories = (int)factor.categories;
        // This thread looks up the columns of threads beside it, so that neighbours read what lies side by side.
        int row = factor.table && first_column + y < n ? row_of(factor.codes, variables, first_column + y, categories) : 0;
        float most = 0;
        for (int first = 0; first < units; first += SIDE) {
            float value = 1;
            if (factor.table) {
                __syncthreads();
                if (first + x < units) tile[y][x] = factor.table[(size_t)row * units + first + x];
                __syncthreads();
                value = tile[x][y];
            }
            if (here && first + y < units) {
                size_t at = (size_t)(first + y) * width + column;
                if (begun) value *= out[at] * scale;
                if (factor.below) value *= factor.below[at];
                out[at] = value;
                most = fmaxf(most, value);
            }
        }
        begun = true;
        float top = largest(most, tile);
        scale = 1;
        if (here) {
            if (factor.below_exponents) exponent += factor.below_exponents[column];
            if (factor.powers) exponent += factor.powers[row_of(factor.codes, variables, column, categories)];
            if (top >= UNDERFLOW) {
                int power = 0;
                frexpf(top, &power);
                scale = ldexpf(1.0f, -power);
                exponent += power;
            } else {
                lost[column] = 1;
            }
        }
    }
    if (!here) return;
    for (int unit = y; unit < units; unit += SIDE) out[(size_t)unit * width + column] *= scale;
    if (y == 0) product.exponents[column] = exponent;
}

// out[i · right_units + j] = left[i] · right[j]
extern "C" __global__ void kronecker(
    float *out, int *exponents, const float *left, const int *left_exponents, const float *right, const int *right_exponents,
    int left_units, int right_units, int n, int width
) {
    int column = blockIdx.x * SIDE + threadIdx.x;
    if (column >= n) return;
    for (int unit = threadIdx.y; unit < left_units * right_units; unit += SIDE) {
        out[(size_t)unit * width + column] =
            left[(size_t)(unit / right_units) * width + column] * right[(size_t)(unit % right_units) * width + column];
    }
    if (threadIdx.y == 0) exponents[column] = left_exponents[column] + right_exponents[column];
}

// to[unit] (+)= Σ over the nodes of a Kronecker product that have `unit` on the side asked for.
extern "C" __global__ void from_kronecker(
    float *to, const float *from, int begun, int by_left, int left_units, int right_units, int n, int width
) {
    int column = blockIdx.x * SIDE + threadIdx.x, units = by_left ? left_units : right_units;
    if (column >= n) return;
    for (int unit = threadIdx.y; unit < units; unit += SIDE) {
        size_t at = (size_t)unit * width + column;
        float sum = begun ? to[at] : 0.0f;
        for (int other = 0; other < (by_left ? right_units : left_units); other++) {
            int node = by_left ? unit * right_units + other : other * right_units + unit;
            sum += from[(size_t)node * width + column];
        }
        to[at] = sum;
    }
}

// The larger of the exponents of two children of a sum.
extern "C" __global__ void highest(int *to, const int *exponents, int begun, int n) {
    int column = blockIdx.x * blockDim.x + threadIdx.x;
    if (column < n) to[column] = begun && to[column] > exponents[column] ? to[column] : exponents[column];
}

// Divides each column by the power of two that takes its exponent up to `to`.
extern "C" __global__ void align(float *block, int *exponents, const int *to, int units, int n, int width) {
    __shared__ int by[SIDE];
    int column = blockIdx.x * SIDE + threadIdx.x;
    bool here = column < n;
    if (here && threadIdx.y == 0) {
        by[threadIdx.x] = exponents[column] - to[column];
        exponents[column] = to[column];
    }
    __syncthreads();
    if (!here) return;
    float scale = by[threadIdx.x] < -200 ? 0.0f : ldexpf(1.0f, by[threadIdx.x]);
    for (int unit = threadIdx.y; unit < units; unit += SIDE) block[(size_t)unit * width + column] *= scale;
}

// log p of each row; the values of its heads become what flows over them, m / Σ m S. `heads (units, width)` are one where
// there are none.
extern "C" __global__ void root(
    float *values, const int *exponents, const float *heads, double *log_probs, int *lost, int units, int n, int width
) {
    int column = blockIdx.x * blockDim.x + threadIdx.x;
    if (column >= n) return;
    double total = 0;
    for (int k = 0; k < units; k++) {
        size_t at = (size_t)k * width + column;
        total += (double)values[at] * (heads ? heads[at] : 1.0f);
    }
    log_probs[column] = log(total) + exponents[column] * 0.69314718055994530942;
    if (!(total >= UNDERFLOW)) lost[column] = 1;
    double share = lost[column] ? 0.0 : 1.0 / total;
    for (int k = 0; k < units; k++) {
        size_t at = (size_t)k * width + column;
        values[at] = (float)(share * (heads ? heads[at] : 1.0f));
    }
}

// Two blocks, one of which is changed.
struct Pair {
    float *values;
    float *flows;
    long long count;
};

// What flows over sums: values = flows / values, and zero where they are.
extern "C" __global__ void divide(const Pair *pairs) {
    Pair pair = pairs[blockIdx.y];
    long long i = (long long)blockIdx.x * blockDim.x + threadIdx.x;
    if (i < pair.count) pair.values[i] = pair.values[i] > 0 ? pair.flows[i] / pair.values[i] : 0.0f;
}

// flows = flows · values
extern "C" __global__ void scale_flows(const Pair *pairs) {
    Pair pair = pairs[blockIdx.y];
    long long i = (long long)blockIdx.x * blockDim.x + threadIdx.x;
    if (i < pair.count) pair.flows[i] *= pair.values[i];
}

extern "C" __global__ void add_to(float *to, const float *from, int begun, size_t count) {
    size_t i = (size_t)blockIdx.x * blockDim.x + threadIdx.x;
    if (i < count) to[i] = begun ? to[i] + from[i] : from[i];
}

// Where the sums, the table and the powers of the leaves of a set lie, and where they are used.
struct Set {
    long long sums, table, powers, first_use, uses;
    int units, categories;
};

struct Use {
    long long flows;
    int variable;
};

// sums[code, unit] += flow of every row. A warp has 32 units of a set, and of its uses every one of a lane, and takes the rows
// one by one; the lanes have sums of their own.
extern "C" __global__ void count(
    float *lanes, size_t each, const Set *sets, const Use *uses, const float *flows, const u16 *codes, int variables, int n,
    int width, int shared_rows
) {
    extern __shared__ float room[];
    float (*tile)[SIDE + 1] = (float (*)[SIDE + 1])room;
    float *mine = room + SIDE * (SIDE + 1);
    Set set = sets[blockIdx.y];
    int x = threadIdx.x, first_unit = blockIdx.x * SIDE, unit = first_unit + x;
    if (first_unit >= set.units) return;
    bool here = unit < set.units, in_shared = set.categories < shared_rows;
    float *out = lanes + blockIdx.z * each + set.sums;
    if (in_shared) {
        for (int code = 0; code <= set.categories; code++) mine[code * SIDE + x] = 0;
    }
    for (long long use = set.first_use + blockIdx.z; use < set.first_use + set.uses; use += gridDim.z) {
        const float *flow = flows + uses[use].flows;
        const u16 *code = codes + uses[use].variable;
        for (int first = 0; first < n; first += SIDE) {
            __syncthreads();
            for (int other = 0; other < SIDE && first_unit + other < set.units; other++) {
                if (first + x < n) tile[other][x] = flow[(size_t)(first_unit + other) * width + first + x];
            }
            __syncthreads();
            int last = n - first < SIDE ? n - first : SIDE;
            for (int c = 0; c < last && here; c++) {
                int row = row_of(code, variables, first + c, set.categories);
                if (in_shared) mine[row * SIDE + x] += tile[x][c];
                else out[(size_t)row * set.units + unit] += tile[x][c];
            }
        }
    }
    if (here && in_shared) {
        for (int row = 0; row <= set.categories; row++) {
            float sum = mine[row * SIDE + x];
            if (sum != 0.0f) out[(size_t)row * set.units + unit] += sum;
        }
    }
}

// A set of weights, and where it begins.
struct Matrix {
    long long begin;
    int rows, columns;
};

// The sum of what the threads of a block have: 128 of them.
__device__ double sum_of_block(double value, double *shared) {
    int i = threadIdx.x;
    __syncthreads();
    shared[i] = value;
    __syncthreads();
    for (int half = 64; half > 0; half /= 2) {
        if (i < half) shared[i] += shared[i + half];
        __syncthreads();
    }
    return shared[0];
}

// The M-step of each row of each set.
extern "C" __global__ void edges(float *weights, const float *flows, const Matrix *matrices, double pseudocount, double step) {
    __shared__ double shared[128];
    Matrix matrix = matrices[blockIdx.y];
    if (blockIdx.x >= matrix.rows) return;
    int columns = matrix.columns;
    float *row = weights + matrix.begin + (size_t)blockIdx.x * columns;
    const float *flow = flows + matrix.begin + (size_t)blockIdx.x * columns;
    double sum = 0, edges = 0;
    for (int i = threadIdx.x; i < columns; i += 128) {
        sum += (double)row[i] * flow[i];
        edges += row[i] > 0 ? 1 : 0;
    }
    sum = sum_of_block(sum, shared);
    edges = sum_of_block(edges, shared);
    double total = sum + pseudocount;
    if (!(total > 0 && edges > 0)) return;
    float keep = (float)(1 - step), scale = (float)(step / total), share = (float)(step / total * pseudocount / edges);
    for (int i = threadIdx.x; i < columns; i += 128) {
        if (row[i] > 0) row[i] = row[i] * (keep + scale * flow[i]) + share;
    }
}

// Adds the lanes of the sums in order, and empties them.
extern "C" __global__ void add_lanes(float *sums, float *lanes, int count, size_t each) {
    size_t i = (size_t)blockIdx.x * blockDim.x + threadIdx.x;
    if (i >= each) return;
    float sum = sums[i];
    for (int lane = 0; lane < count; lane++) {
        sum += lanes[lane * each + i];
        lanes[lane * each + i] = 0;
    }
    sums[i] = sum;
}

// The sum of each column of threads.
__device__ float sum_of_column(float value, float (*shared)[SIDE + 1]) {
    __syncthreads();
    shared[threadIdx.y][threadIdx.x] = value;
    __syncthreads();
    float sum = 0;
    for (int i = 0; i < SIDE; i++) sum += shared[i][threadIdx.x];
    return sum;
}

// The M-step of tables of categories, 32 units a block of threads.
extern "C" __global__ void categorical(float *tables, const float *sums, const Set *sets, double pseudocount, double step) {
    __shared__ float strips[SIDE][SIDE + 1];
    Set set = sets[blockIdx.y];
    int x = threadIdx.x, y = threadIdx.y, k = set.categories, unit = blockIdx.x * SIDE + x;
    if (blockIdx.x * SIDE >= set.units) return;
    bool here = unit < set.units;
    float *table = tables + set.table, known = 0;
    const float *sum = sums + set.sums;
    for (int a = y; a < k && here; a += SIDE) known += sum[(size_t)a * set.units + unit];
    known = sum_of_column(known, strips);
    if (!here) return;
    double missing = sum[(size_t)k * set.units + unit], total = known + missing + pseudocount, scale = step / total;
    if (!(total > 0)) return;
    float keep = (float)(1 - step + scale * missing), share = (float)(scale * pseudocount / k);
    for (int a = y; a < k; a += SIDE) {
        size_t at = (size_t)a * set.units + unit;
        table[at] = keep * table[at] + (float)scale * sum[at] + share;
    }
}

// The CUDA driver, cuBLAS and NVRTC on the CPU: device memory is host memory, and the threads of a block are fibres.
//
// Only what cudarc 0.9 and dfdx 0.13 call is here. Kernels register themselves by name when their library is loaded
// (mkkernels.py makes it; FAKECUDA_KERNELS names it). EMU_ORDER picks the order in which threads run.

#include <algorithm>
#include <cstdint>
#include <cstdio>
#include <cstdlib>
#include <cstring>
#include <map>
#include <mutex>
#include <random>
#include <string>
#include <vector>

#include <dlfcn.h>
#include <sys/mman.h>
#include <unistd.h>

struct dim3 {
    unsigned x, y, z;
};
// What a kernel sees as its built-in variables.
dim3 threadIdx, blockIdx, blockDim, gridDim;

using Kernel = void (*)(void **arguments);
using Kernels = std::map<std::string, Kernel>;

static Kernels &known() {
    static Kernels kernels;
    return kernels;
}

// Kernels of a library that a module is loading belong to that module.
static Kernels *loading = nullptr;

extern "C" void emu_reg(const char *name, Kernel kernel, int) { (loading ? *loading : known())[name] = kernel; }

// ---- fibres

extern "C" void emu_switch(void **save, void *to);
asm(".text\n.globl emu_switch\n.type emu_switch,@function\nemu_switch:\n"
    "push %rbp;push %rbx;push %r12;push %r13;push %r14;push %r15;mov %rsp,(%rdi);mov %rsi,%rsp;"
    "pop %r15;pop %r14;pop %r13;pop %r12;pop %rbx;pop %rbp;ret\n");

enum class State { Ready, AtBlockBarrier, AtWarpBarrier, Done };

struct Fibre {
    void *stack_pointer;
    char *stack;
    State state;
    dim3 thread;
    int linear;
    uint64_t shared_value;
};

constexpr size_t STACK = 64 << 10;
constexpr int WARP = 32;

static std::vector<Fibre> fibres;
static void *scheduler;
static int current, threads;
static Kernel running;
static void **running_arguments;
static std::vector<char> dynamic_shared;
static std::mutex launch_lock;

static void wait(State state) {
    fibres[current].state = state;
    emu_switch(&fibres[current].stack_pointer, scheduler);
}

extern "C" void emu_entry() {
    running(running_arguments);
    fibres[current].state = State::Done;
    emu_switch(&fibres[current].stack_pointer, scheduler);
    abort();
}
extern "C" void emu_syncthreads() { wait(State::AtBlockBarrier); }
extern "C" void emu_syncwarp() { wait(State::AtWarpBarrier); }
extern "C" void *emu_dynshared() { return dynamic_shared.data(); }
extern "C" int emu_lane() { return fibres[current].linear % WARP; }
extern "C" uint64_t emu_shfl(uint64_t value, int lane) {
    int me = current;
    fibres[me].shared_value = value;
    wait(State::AtWarpBarrier);
    int source = fibres[me].linear / WARP * WARP + lane;
    uint64_t result = source < threads ? fibres[source].shared_value : value;
    wait(State::AtWarpBarrier);
    return result;
}

static void start(Fibre &fibre) {
    auto *top = reinterpret_cast<uint64_t *>(fibre.stack + STACK - 16);
    *--top = 0;
    *--top = reinterpret_cast<uint64_t>(emu_entry);
    for (int saved_register = 0; saved_register < 6; saved_register++) *--top = 0;
    fibre.stack_pointer = top;
    fibre.state = State::Ready;
}

// ---- the scheduler

static bool order_has(const char *word) {
    static const char *order = getenv("EMU_ORDER");
    return order && strstr(order, word);
}

// Runs every ready thread of [low, high) once. Returns how many ended.
static int pass(const std::vector<int> &order, int low, int high) {
    int ended = 0;
    for (int i : order) {
        if (i < low || i >= high || fibres[i].state != State::Ready) continue;
        current = i;
        threadIdx = fibres[i].thread;
        emu_switch(&scheduler, fibres[i].stack_pointer);
        ended += fibres[i].state == State::Done;
    }
    return ended;
}

static bool release(int low, int high, State barrier) {
    bool any = false;
    for (int i = low; i < std::min(threads, high); i++) {
        if (fibres[i].state == barrier) {
            fibres[i].state = State::Ready;
            any = true;
        }
    }
    return any;
}

// "greedy" lets one warp run up to the block barrier before the next one moves, which finds a missing __syncthreads;
// otherwise all warps advance together. Both may happen on a GPU.
static void run_block(const std::vector<int> &order) {
    for (int i = 0; i < threads; i++) start(fibres[i]);
    int left = threads;
    while (left) {
        if (order_has("greedy")) {
            std::vector<int> warps;
            for (int i : order) {
                if (std::find(warps.begin(), warps.end(), i / WARP) == warps.end()) warps.push_back(i / WARP);
            }
            for (int warp : warps) {
                int low = warp * WARP, high = std::min(threads, low + WARP);
                do left -= pass(order, low, high);
                while (release(low, high, State::AtWarpBarrier));
            }
        } else {
            do left -= pass(order, 0, threads);
            while (release(0, threads, State::AtWarpBarrier));
        }
        if (!release(0, threads, State::AtBlockBarrier) && left) {
            fprintf(stderr, "fakecuda: deadlock\n");
            abort();
        }
    }
}

constexpr int SUCCESS = 0, INVALID_VALUE = 1;

static int launch(Kernel kernel, dim3 grid, dim3 block, unsigned shared, void **arguments) {
    std::lock_guard<std::mutex> guard(launch_lock);
    uint64_t blocks = (uint64_t)grid.x * grid.y * grid.z, size = (uint64_t)block.x * block.y * block.z;
    if (!blocks || !size || size > 1024 || shared > (228u << 10) || grid.y > 65535 || grid.z > 65535) return INVALID_VALUE;
    threads = (int)size;
    gridDim = grid;
    blockDim = block;
    running = kernel;
    running_arguments = arguments;
    // Shared memory starts as NaN, so that a read before a write shows.
    dynamic_shared.assign(shared + 16, (char)0xff);
    while ((int)fibres.size() < threads) {
        Fibre fibre{};
        fibre.stack = (char *)mmap(nullptr, STACK, PROT_READ | PROT_WRITE, MAP_PRIVATE | MAP_ANONYMOUS | MAP_NORESERVE, -1, 0);
        fibres.push_back(fibre);
    }
    std::vector<int> order(threads);
    for (int i = 0; i < threads; i++) {
        order[i] = fibres[i].linear = i;
        fibres[i].thread = {i % block.x, i / block.x % block.y, i / (block.x * block.y)};
    }
    static std::mt19937 random(1);
    if (order_has("rev")) std::reverse(order.begin(), order.end());
    bool shuffled = order_has("shuffle"), backwards = shuffled || order_has("rev");
    for (uint64_t k = 0; k < blocks; k++) {
        uint64_t b = backwards ? blocks - 1 - k : k;
        blockIdx = {unsigned(b % grid.x), unsigned(b / grid.x % grid.y), unsigned(b / ((uint64_t)grid.x * grid.y))};
        if (shuffled) std::shuffle(order.begin(), order.end(), random);
        run_block(order);
    }
    return SUCCESS;
}

// ---- the driver

using Status = int;
using Pointer = uint64_t;

static int devices() {
    const char *count = getenv("FAKECUDA_DEVICES");
    return count ? atoi(count) : 1;
}

struct Module {
    std::string image;
    Kernels own;
};
static std::mutex module_lock;

constexpr int NO_DEVICE = 100, INVALID_DEVICE = 101, FILE_NOT_FOUND = 218, NOT_FOUND = 500, NOT_SUPPORTED = 801;

extern "C" {
Status cuInit(unsigned) { return devices() ? SUCCESS : NO_DEVICE; }
Status cuDriverGetVersion(int *version) { return *version = 13000, SUCCESS; }
Status cuDeviceGetCount(int *count) { return *count = devices(), SUCCESS; }
Status cuDeviceGet(int *device, int ordinal) {
    if (ordinal >= devices()) return INVALID_DEVICE;
    *device = ordinal;
    return SUCCESS;
}
Status cuDeviceGetName(char *name, int length, int) {
    snprintf(name, length, "stand-in on the CPU");
    return SUCCESS;
}
Status cuDeviceGetAttribute(int *value, int attribute, int) {
    switch (attribute) {
    case 1: *value = 1024; break;   // threads a block
    case 8: *value = 49152; break;  // shared memory a block
    case 10: *value = WARP; break;
    case 75: *value = 8; break;     // compute capability 8.0
    case 76: *value = 0; break;
    default: *value = 1;            // among them 115, memory pools
    }
    return SUCCESS;
}
Status cuDeviceTotalMem_v2(size_t *bytes, int) { return *bytes = (size_t)8 << 30, SUCCESS; }
Status cuMemGetInfo_v2(size_t *free, size_t *total) { return *free = *total = (size_t)8 << 30, SUCCESS; }
Status cuDevicePrimaryCtxRetain(void **context, int) { return *context = (void *)1, SUCCESS; }
Status cuDevicePrimaryCtxRelease_v2(int) { return SUCCESS; }
Status cuCtxSetCurrent(void *) { return SUCCESS; }
Status cuCtxGetCurrent(void **context) { return *context = (void *)1, SUCCESS; }
Status cuCtxSynchronize() { return SUCCESS; }

// Fresh memory is NaN, so that a read before a write shows.
Status cuMemAlloc_v2(Pointer *pointer, size_t bytes) {
    *pointer = (Pointer)malloc(bytes ? bytes : 1);
    memset((void *)*pointer, 0xff, bytes);
    return SUCCESS;
}
Status cuMemFree_v2(Pointer pointer) { return free((void *)pointer), SUCCESS; }
Status cuMemAllocAsync(Pointer *pointer, size_t bytes, void *) { return cuMemAlloc_v2(pointer, bytes); }
Status cuMemFreeAsync(Pointer pointer, void *) { return cuMemFree_v2(pointer); }
Status cuMemsetD8_v2(Pointer to, unsigned char byte, size_t n) { return memset((void *)to, byte, n), SUCCESS; }
Status cuMemsetD8Async(Pointer to, unsigned char byte, size_t n, void *) { return cuMemsetD8_v2(to, byte, n); }
Status cuMemcpyHtoD_v2(Pointer to, const void *from, size_t n) { return memcpy((void *)to, from, n), SUCCESS; }
Status cuMemcpyHtoDAsync_v2(Pointer to, const void *from, size_t n, void *) { return cuMemcpyHtoD_v2(to, from, n); }
Status cuMemcpyDtoH_v2(void *to, Pointer from, size_t n) { return memcpy(to, (void *)from, n), SUCCESS; }
Status cuMemcpyDtoHAsync_v2(void *to, Pointer from, size_t n, void *) { return cuMemcpyDtoH_v2(to, from, n); }
Status cuMemcpyDtoD_v2(Pointer to, Pointer from, size_t n) { return memmove((void *)to, (void *)from, n), SUCCESS; }
Status cuMemcpyDtoDAsync_v2(Pointer to, Pointer from, size_t n, void *) { return cuMemcpyDtoD_v2(to, from, n); }

Status cuStreamCreate(void **stream, unsigned) { return *stream = (void *)2, SUCCESS; }
Status cuStreamDestroy_v2(void *) { return SUCCESS; }
Status cuStreamSynchronize(void *) { return SUCCESS; }
Status cuStreamWaitEvent(void *, void *, unsigned) { return SUCCESS; }
Status cuEventCreate(void **event, unsigned) { return *event = (void *)3, SUCCESS; }
Status cuEventDestroy_v2(void *) { return SUCCESS; }
Status cuEventRecord(void *, void *) { return SUCCESS; }
Status cuEventElapsedTime(float *time, void *, void *) { return *time = 0, SUCCESS; }
Status cuEventSynchronize(void *) { return SUCCESS; }

Status cuModuleLoadData(void **module, const void *image) {
    std::lock_guard<std::mutex> guard(module_lock);
    auto *loaded = new Module{image ? (const char *)image : "", {}};
    *module = loaded;
    if (loaded->image.compare(0, 4, "EMU:")) return SUCCESS;
    loading = &loaded->own;
    void *library = dlopen(loaded->image.c_str() + 4, RTLD_NOW | RTLD_LOCAL);
    loading = nullptr;
    if (library) return SUCCESS;
    fprintf(stderr, "fakecuda: %s\n", dlerror());
    return FILE_NOT_FOUND;
}
Status cuModuleLoad(void **module, const char *file) { return cuModuleLoadData(module, file); }
Status cuModuleUnload(void *module) { return delete (Module *)module, SUCCESS; }
Status cuModuleGetFunction(void **function, void *handle, const char *name) {
    std::lock_guard<std::mutex> guard(module_lock);
    static bool once = [] {
        const char *library = getenv("FAKECUDA_KERNELS");
        if (library && !dlopen(library, RTLD_NOW | RTLD_GLOBAL)) fprintf(stderr, "fakecuda: %s\n", dlerror());
        return true;
    }();
    (void)once;
    auto *module = (Module *)handle;
    // A real PTX image has to hold the entry too.
    bool ptx = module->image.find(".visible .entry") != std::string::npos;
    if (ptx && module->image.find(std::string(".entry ") + name + "(") == std::string::npos) return NOT_FOUND;
    for (Kernels *kernels : {&module->own, &known()}) {
        auto found = kernels->find(name);
        if (found == kernels->end()) continue;
        *function = (void *)found->second;
        return SUCCESS;
    }
    fprintf(stderr, "fakecuda: no kernel %s\n", name);
    return NOT_FOUND;
}
Status cuFuncSetAttribute(void *, int, int) { return SUCCESS; }
Status cuFuncGetAttribute(int *value, int, void *) { return *value = 1024, SUCCESS; }
Status cuLaunchKernel(void *kernel, unsigned gx, unsigned gy, unsigned gz, unsigned bx, unsigned by, unsigned bz,
                      unsigned shared, void *, void **arguments, void **) {
    return launch((Kernel)kernel, {gx, gy, gz}, {bx, by, bz}, shared, arguments);
}
Status cuGetErrorString(int, const char **text) { return *text = "an error of the stand-in", SUCCESS; }
Status cuGetErrorName(int, const char **text) { return *text = "FAKECUDA", SUCCESS; }

#define UNSUPPORTED(name) \
    Status name() { return NOT_SUPPORTED; }
UNSUPPORTED(cuOccupancyMaxActiveClusters)
UNSUPPORTED(cuOccupancyMaxPotentialClusterSize)
UNSUPPORTED(cuOccupancyMaxPotentialBlockSize)
UNSUPPORTED(cuOccupancyMaxPotentialBlockSizeWithFlags)
UNSUPPORTED(cuOccupancyMaxActiveBlocksPerMultiprocessor)
UNSUPPORTED(cuOccupancyMaxActiveBlocksPerMultiprocessorWithFlags)
UNSUPPORTED(cuOccupancyAvailableDynamicSMemPerBlock)
UNSUPPORTED(cuImportExternalMemory)
UNSUPPORTED(cuDestroyExternalMemory)
UNSUPPORTED(cuExternalMemoryGetMappedBuffer)
UNSUPPORTED(cuProfilerStart)
UNSUPPORTED(cuProfilerStop)
}

// ---- cuBLAS, column by column, summed in double precision

constexpr int BLAS_INVALID_VALUE = 7, BLAS_NOT_SUPPORTED = 15;

template <class T> struct Operand {
    const T *data;
    int leading;
    long long stride;
    bool transposed;
    T at(int row, int column) const {
        return transposed ? data[column + (size_t)row * leading] : data[row + (size_t)column * leading];
    }
};

template <class T>
static Status gemm(int m, int n, int k, T alpha, Operand<T> a, Operand<T> b, T beta, T *c, int leading, long long stride,
                   int batch) {
    bool fits = a.leading >= std::max(1, a.transposed ? k : m) && b.leading >= std::max(1, b.transposed ? n : k) &&
                leading >= std::max(1, m);
    if (!fits) return BLAS_INVALID_VALUE;
    for (int q = 0; q < batch; q++, a.data += a.stride, b.data += b.stride, c += stride) {
        for (int j = 0; j < n; j++) {
            for (int i = 0; i < m; i++) {
                double sum = 0;
                for (int p = 0; p < k; p++) sum += (double)a.at(i, p) * (double)b.at(p, j);
                T &out = c[i + (size_t)j * leading];
                // As cuBLAS does: with beta = 0 the old value is not read, even if it is NaN.
                out = (T)(alpha * sum + (beta != T(0) ? beta * out : T(0)));
            }
        }
    }
    return SUCCESS;
}

extern "C" {
Status cublasCreate_v2(void **handle) { return *handle = (void *)4, SUCCESS; }
Status cublasDestroy_v2(void *) { return SUCCESS; }
Status cublasSetStream_v2(void *, void *) { return SUCCESS; }
Status cublasSetWorkspace_v2(void *, void *, size_t) { return SUCCESS; }
Status cublasSetMathMode(void *, int) { return SUCCESS; }

#define GEMM(T, plain, batched)                                                                                          \
    Status plain(void *, int ta, int tb, int m, int n, int k, const T *alpha, const T *a, int lda, const T *b, int ldb,  \
                 const T *beta, T *c, int ldc) {                                                                         \
        return gemm<T>(m, n, k, *alpha, {a, lda, 0, ta != 0}, {b, ldb, 0, tb != 0}, *beta, c, ldc, 0, 1);                \
    }                                                                                                                    \
    Status batched(void *, int ta, int tb, int m, int n, int k, const T *alpha, const T *a, int lda, long long sa,       \
                   const T *b, int ldb, long long sb, const T *beta, T *c, int ldc, long long sc, int batch) {           \
        return gemm<T>(m, n, k, *alpha, {a, lda, sa, ta != 0}, {b, ldb, sb, tb != 0}, *beta, c, ldc, sc, batch);         \
    }
Status cublasSgemmBatched(void *, int ta, int tb, int m, int n, int k, const float *alpha, const float *const *a, int lda,
                          const float *const *b, int ldb, const float *beta, float *const *c, int ldc, int batch) {
    for (int i = 0; i < batch; i++) {
        gemm<float>(m, n, k, *alpha, {a[i], lda, 0, ta != 0}, {b[i], ldb, 0, tb != 0}, *beta, c[i], ldc, 0, 1);
    }
    return SUCCESS;
}
GEMM(float, cublasSgemm_v2, cublasSgemmStridedBatched)
GEMM(double, cublasDgemm_v2, cublasDgemmStridedBatched)

#define ABSENT(name) \
    Status name() { return BLAS_NOT_SUPPORTED; }
ABSENT(cublasGemmEx)
ABSENT(cublasGemmStridedBatchedEx)
ABSENT(cublasSgemv_v2)
ABSENT(cublasDgemv_v2)
ABSENT(cublasLtCreate)
}

// ---- NVRTC: the "PTX" is the path of a library that mkkernels.py makes of the source

struct Program {
    std::string source, log, ptx;
};

constexpr int COMPILATION_FAILED = 6;

extern "C" {
Status nvrtcCreateProgram(void **program, const char *source, const char *, int, const char *const *, const char *const *) {
    return *program = new Program{source, "", ""}, SUCCESS;
}
Status nvrtcCompileProgram(void *handle, int count, const char *const *options) {
    auto *program = (Program *)handle;
    const char *maker = getenv("FAKECUDA_MK"), *folder = getenv("TMPDIR");
    if (!maker) {
        program->log = "FAKECUDA_MK has to name mkkernels.py";
        return COMPILATION_FAILED;
    }
    static int serial = 0;
    std::string base = std::string(folder ? folder : "/tmp") + "/nvrtc-emu-" + std::to_string((long)getpid()) + "-" +
                       std::to_string(serial++);
    FILE *file = fopen((base + ".cu").c_str(), "w");
    if (!file) return COMPILATION_FAILED;
    fputs(program->source.c_str(), file);
    fclose(file);
    std::string command = std::string("python3 '") + maker + "' '" + base + ".so'";
    const char include[] = "--include-path=";
    for (int i = 0; i < count; i++) {
        if (!strncmp(options[i], include, sizeof include - 1)) command += std::string(" '") + (options[i] + sizeof include - 1) + "'";
    }
    int failed = system((command + " -- '" + base + ".cu' > '" + base + ".log' 2>&1").c_str());
    if (FILE *log = fopen((base + ".log").c_str(), "r")) {
        char text[4096];
        program->log.assign(text, fread(text, 1, sizeof text, log));
        fclose(log);
    }
    program->ptx = "EMU:" + base + ".so";
    return failed ? COMPILATION_FAILED : SUCCESS;
}
Status nvrtcGetPTXSize(void *program, size_t *size) { return *size = ((Program *)program)->ptx.size() + 1, SUCCESS; }
Status nvrtcGetPTX(void *program, char *out) { return strcpy(out, ((Program *)program)->ptx.c_str()), SUCCESS; }
Status nvrtcGetProgramLogSize(void *program, size_t *size) { return *size = ((Program *)program)->log.size() + 1, SUCCESS; }
Status nvrtcGetProgramLog(void *program, char *out) { return strcpy(out, ((Program *)program)->log.c_str()), SUCCESS; }
Status nvrtcDestroyProgram(void **program) { return delete (Program *)*program, SUCCESS; }
}

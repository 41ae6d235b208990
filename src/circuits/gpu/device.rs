//! A GPU, its memory and its kernels.

use crate::{
    Error, Result,
    nn::device::{gpus, no_gpu},
};
use cudarc::{
    cublas::{
        CudaBlas,
        sys::{cublasOperation_t, cublasSgemm_v2, cublasSgemmBatched},
    },
    driver::{CudaDevice, CudaSlice, DevicePtr, DeviceRepr, DeviceSlice, DriverError, ValidAsZeroBits, result, sys},
    nvrtc::compile_ptx,
};
use std::{
    collections::HashMap,
    ffi::{CString, c_void},
    fmt::Display,
    sync::{Arc, Mutex, PoisonError},
};

/// Columns, and units, that a block of threads takes at once.
pub(super) const SIDE: usize = 32;

const KERNELS: [&str; 13] = [
    "multiply",
    "kronecker",
    "from_kronecker",
    "highest",
    "align",
    "root",
    "divide",
    "scale_flows",
    "add_to",
    "count",
    "add_lanes",
    "edges",
    "categorical",
];

/// The most blocks of threads that a launch has in its second direction.
const MOST_BLOCKS: usize = 65_535;

/// `count` things in as few launches as hold them: how many, and the first.
pub(super) fn several(count: usize) -> impl Iterator<Item = (usize, usize)> {
    (0..count).step_by(MOST_BLOCKS).map(move |first| (MOST_BLOCKS.min(count - first), first))
}

pub(super) fn failed(error: impl Display) -> Error {
    Error::invalid(format!("the GPU: {error}"))
}

/// An argument of a kernel, as C++ takes it.
#[derive(Clone, Copy, Debug)]
pub(super) enum Argument {
    /// A place in the memory of the GPU; 0 for none.
    Place(u64),
    Int(i32),
    Size(usize),
    Double(f64),
}

/// How many blocks of how many threads.
#[derive(Clone, Copy, Debug)]
pub(super) struct Threads {
    pub(super) blocks: (usize, usize, usize),
    pub(super) of: (usize, usize),
    /// Bytes that the threads of a block share.
    pub(super) shared: usize,
}

impl Threads {
    /// A thread an element.
    pub(super) fn each(count: usize) -> Self {
        Self { blocks: (count.div_ceil(256).max(1), 1, 1), of: (256, 1), shared: 0 }
    }

    /// Blocks of 32 columns by 32 units, side by side along the columns.
    pub(super) fn columns(n: usize) -> Self {
        Self { blocks: (n.div_ceil(SIDE), 1, 1), of: (SIDE, SIDE), shared: 0 }
    }
}

/// Operands of products of matrices as cuBLAS takes them, column after column: the place in the memory of the GPU of the list
/// of their places, the place of the first, how far columns are apart, and whether they are turned.
#[derive(Clone, Copy, Debug)]
pub(super) struct Operands {
    pub(super) list: u64,
    pub(super) first: u64,
    pub(super) stride: usize,
    pub(super) transposed: bool,
}

/// Numbers in the memory of a GPU.
#[derive(Debug)]
pub(super) struct Memory<T> {
    pub(super) numbers: CudaSlice<T>,
    begin: u64,
}

impl<T> Memory<T> {
    fn new(numbers: CudaSlice<T>) -> Self {
        let begin = *numbers.device_ptr();
        Self { numbers, begin }
    }

    /// How many numbers there are.
    pub(super) fn len(&self) -> usize {
        self.numbers.len()
    }

    /// The place of an element.
    pub(super) fn at(&self, element: usize) -> u64 {
        self.begin + (element * size_of::<T>()) as u64
    }
}

/// The kernels by name.
struct Kernels(HashMap<&'static str, sys::CUfunction>);

// SAFETY: a function may be launched from any thread that its device is bound to, and belongs to a context that is kept.
unsafe impl Send for Kernels {}
// SAFETY: as above.
unsafe impl Sync for Kernels {}

impl Kernels {
    /// Compiles and loads them.
    fn new() -> Result<Self> {
        let compiled = compile_ptx(include_str!("kernels.cu")).map_err(|e| failed(format!("its kernels: {e:?}")))?;
        let text = |text: &str| CString::new(text).expect("neither names nor PTX hold zeros");
        let image = text(&compiled.to_src());
        // SAFETY: the image ends with a zero, and the module is never unloaded: its functions stay.
        let module = unsafe { result::module::load_data(image.as_ptr().cast()) }.map_err(failed)?;
        // SAFETY: the module is there.
        let function = |name: &&'static str| unsafe { Ok((*name, result::module::get_function(module, text(name))?)) };
        let functions: Result<_, DriverError> = KERNELS.iter().map(function).collect();
        functions.map(Self).map_err(failed)
    }
}

/// The first GPU and the kernels on it, kept for the life of the process.
static LOADED: Mutex<Option<(Arc<CudaDevice>, Arc<Kernels>)>> = Mutex::new(None);

/// The first GPU, with the kernels of circuits.
pub(super) struct Gpu {
    device: Arc<CudaDevice>,
    blas: CudaBlas,
    kernels: Arc<Kernels>,
}

impl Gpu {
    pub(super) fn new() -> Result<Self> {
        if gpus() == 0 {
            return Err(no_gpu());
        }
        let mut loaded = LOADED.lock().unwrap_or_else(PoisonError::into_inner);
        let (device, kernels) = match &*loaded {
            Some(both) => both.clone(),
            None => {
                let device = CudaDevice::new(0).map_err(failed)?;
                loaded.insert((device, Arc::new(Kernels::new()?))).clone()
            }
        };
        device.bind_to_thread().map_err(failed)?;
        let blas = CudaBlas::new(device.clone()).map_err(|e| failed(format!("{e:?}")))?;
        Ok(Self { device, blas, kernels })
    }

    /// `count` zeros.
    pub(super) fn zeros<T: ValidAsZeroBits + DeviceRepr>(&self, count: usize) -> Result<Memory<T>> {
        let bytes = (count * size_of::<T>()) as f64 / f64::from(1 << 30);
        let numbers = self.device.alloc_zeros(count.max(1));
        numbers
            .map(Memory::new)
            .map_err(|e| failed(format!("{bytes:.1} GiB of its memory: {e}; fewer states need less")))
    }

    /// The same numbers on the GPU.
    pub(super) fn copy<T: DeviceRepr>(&self, numbers: &[T]) -> Result<Memory<T>> {
        self.device.htod_sync_copy(numbers).map(Memory::new).map_err(failed)
    }

    /// Writes numbers over those that begin at `at`.
    pub(super) fn write<T: DeviceRepr>(&self, memory: &mut Memory<T>, at: usize, numbers: &[T]) -> Result<()> {
        let mut part = memory.numbers.slice_mut(at..at + numbers.len());
        self.device.htod_sync_copy_into(numbers, &mut part).map_err(failed)
    }

    /// Reads the `count` numbers that begin at `at`.
    pub(super) fn read<T: DeviceRepr + Clone + Default>(
        &self,
        memory: &Memory<T>,
        at: usize,
        count: usize,
    ) -> Result<Vec<T>> {
        let mut numbers = vec![T::default(); count];
        self.device.dtoh_sync_copy_into(&memory.numbers.slice(at..at + count), &mut numbers).map_err(failed)?;
        Ok(numbers)
    }

    pub(super) fn clear<T: ValidAsZeroBits + DeviceRepr>(&self, memory: &mut Memory<T>) -> Result<()> {
        self.device.memset_zeros(&mut memory.numbers).map_err(failed)
    }

    /// Runs a kernel.
    ///
    /// # Safety
    /// The arguments are those of the kernel, and it stays inside the memory they name.
    pub(super) unsafe fn launch(&self, kernel: &str, threads: Threads, arguments: &[Argument]) -> Result<()> {
        let function = *self.kernels.0.get(kernel).ok_or_else(|| failed(format!("no kernel {kernel}")))?;
        let mut pointers: Vec<*mut c_void> = arguments
            .iter()
            .map(|argument| match argument {
                Argument::Place(value) => std::ptr::from_ref(value) as *mut c_void,
                Argument::Int(value) => std::ptr::from_ref(value) as *mut c_void,
                Argument::Size(value) => std::ptr::from_ref(value) as *mut c_void,
                Argument::Double(value) => std::ptr::from_ref(value) as *mut c_void,
            })
            .collect();
        let three = |(x, y, z): (usize, usize, usize)| (x as u32, y as u32, z as u32);
        let (blocks, of) = (three(threads.blocks), three((threads.of.0, threads.of.1, 1)));
        let shared = threads.shared as u32;
        // SAFETY: as the caller says; the driver copies the arguments before it returns.
        let done =
            unsafe { result::launch_kernel(function, blocks, of, shared, *self.device.cu_stream(), &mut pointers) };
        done.map_err(|e| failed(format!("{kernel}: {e}")))
    }

    /// `c (m, n) = a (m, k) · b (k, n)`, added to what is there where `adds`, for `count` of each.
    ///
    /// # Safety
    /// The operands hold matrices of these sizes.
    pub(super) unsafe fn products(
        &self,
        [m, n, k]: [usize; 3],
        [a, b, c]: [Operands; 3],
        adds: bool,
        count: usize,
    ) -> Result<()> {
        let turned = |operand: Operands| match operand.transposed {
            true => cublasOperation_t::CUBLAS_OP_T,
            false => cublasOperation_t::CUBLAS_OP_N,
        };
        let (one, beta) = (1.0_f32, f32::from(u8::from(adds)));
        let ([m, n, k], [lda, ldb, ldc]) = ([m, n, k].map(|size| size as i32), [a, b, c].map(|o| o.stride as i32));
        let (handle, one, beta) = (*self.blas.handle(), &raw const one, &raw const beta);
        // SAFETY: as the caller says; the factors are read before the calls return.
        let done = unsafe {
            if count == 1 {
                let (a_at, b_at, c_at) = (a.first as *const f32, b.first as *const f32, c.first as *mut f32);
                cublasSgemm_v2(handle, turned(a), turned(b), m, n, k, one, a_at, lda, b_at, ldb, beta, c_at, ldc)
            } else {
                let (a_at, b_at) = (a.list as *const *const f32, b.list as *const *const f32);
                let (c_at, count) = (c.list as *const *mut f32, count as i32);
                cublasSgemmBatched(
                    handle,
                    turned(a),
                    turned(b),
                    m,
                    n,
                    k,
                    one,
                    a_at,
                    lda,
                    b_at,
                    ldb,
                    beta,
                    c_at,
                    ldc,
                    count,
                )
            }
        };
        done.result().map_err(|e| failed(format!("a product of matrices: {e:?}")))
    }
}

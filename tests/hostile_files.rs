//! Truncated, mistyped and malicious files, one kind after the other: each is one line that says what is wrong.

use limbeck::data::{Coding, Images, Loaded, MISSING, Text, Unseen, load, shipped};
use std::{fs, io::Write, path::PathBuf};

struct Folder(tempfile::TempDir);

impl Folder {
    fn new() -> Self {
        Self(tempfile::tempdir().unwrap())
    }

    fn file(&self, name: &str, bytes: &[u8]) -> PathBuf {
        let path = self.0.path().join(name);
        fs::write(&path, bytes).unwrap();
        path
    }

    /// The message that loading these bytes gives.
    fn refused(&self, name: &str, bytes: &[u8]) -> String {
        let message = load(self.file(name, bytes)).expect_err(name).to_string();
        assert!(message.contains(name) && !message.contains('\n'), "{message}");
        message
    }
}

fn npy(header: &str, data: &[u8]) -> Vec<u8> {
    let mut bytes = b"\x93NUMPY\x01\x00".to_vec();
    bytes.extend((header.len() as u16 + 1).to_le_bytes());
    bytes.extend(header.bytes());
    bytes.push(b'\n');
    bytes.extend(data);
    bytes
}

fn zip_of(name: &str, bytes: &[u8]) -> Vec<u8> {
    let mut zip = zip::ZipWriter::new(std::io::Cursor::new(Vec::new()));
    zip.start_file(name, zip::write::SimpleFileOptions::default()).unwrap();
    zip.write_all(bytes).unwrap();
    zip.finish().unwrap().into_inner()
}

#[test]
fn npy_files() {
    let folder = Folder::new();
    let whole = npy("{'descr': '<i4', 'fortran_order': False, 'shape': (2, 3), }", &[1; 24]);
    assert!(load(folder.file("good.npy", &whole)).is_ok());
    for length in [0, 5, 9, 40, whole.len() - 1] {
        folder.refused("cut.npy", &whole[..length]);
    }
    assert!(folder.refused("long.npy", &[&whole[..], &[0]].concat()).contains("longer"));
    assert!(folder.refused("text.npy", b"a,b\n1,2\n").contains("not a NumPy"));
    let huge = "{'descr': '<f8', 'fortran_order': False, 'shape': (4611686018427387904, 4), }";
    assert!(folder.refused("overflow.npy", &npy(huge, &[0; 8])).contains("cannot exist"));
    let large = "{'descr': '<f8', 'fortran_order': False, 'shape': (100000000000,), }";
    assert!(folder.refused("large.npy", &npy(large, &[0; 8])).contains("truncated"));
    let nested = format!("{{'descr': {}'<f8', 'fortran_order': False, 'shape': (1,), }}", "[".repeat(60_000));
    assert!(folder.refused("nested.npy", &npy(&nested[..4000], &[])).contains("nested"));
    folder.refused("nested.npy", &npy(&nested, &[]));
    let complex = "{'descr': '<c16', 'fortran_order': False, 'shape': (1,), }";
    assert!(folder.refused("complex.npy", &npy(complex, &[0; 16])).contains("save it as"));
    let object = "{'descr': '|O', 'fortran_order': False, 'shape': (1,), }";
    assert!(folder.refused("object.npy", &npy(object, &[0; 8])).contains("save it as"));
}

#[test]
fn npy_of_every_type_and_order() {
    let folder = Folder::new();
    let codes = |bytes: &[u8], descr: &str, fortran: &str| {
        let header = format!("{{'descr': '{descr}', 'fortran_order': {fortran}, 'shape': (2, 2), }}");
        let path = folder.file("typed.npy", &npy(&header, bytes));
        load(path).unwrap().discrete(Coding::Learn(None)).unwrap().codes().to_vec()
    };
    assert_eq!(codes(&[0, 1, 2, 3], "|u1", "False"), [0, 1, 2, 3]);
    assert_eq!(codes(&[0, 1, 2, 3], "|u1", "True"), [0, 2, 1, 3]);
    assert_eq!(codes(&[0, 0, 0, 1, 0, 2, 255, 255], ">i2", "False"), [0, 1, 2, u16::MAX]);
    let reals: Vec<u8> = [0.0_f32, f32::NAN, 2.0, 1.0].iter().flat_map(|v| v.to_le_bytes()).collect();
    assert_eq!(codes(&reals, "<f4", "False"), [0, u16::MAX, 2, 1]);
}

#[test]
fn npz_files() {
    let folder = Folder::new();
    let array = npy("{'descr': '|u1', 'fortran_order': False, 'shape': (2, 2), }", &[0, 1, 1, 0]);
    let whole = zip_of("a.npy", &array);
    assert!(load(folder.file("good.npz", &whole)).is_ok());
    for length in [0, 10, whole.len() / 2, whole.len() - 1] {
        folder.refused("cut.npz", &whole[..length]);
    }
    let bomb = npy("{'descr': '<f8', 'fortran_order': False, 'shape': (200000000,), }", &[0; 800]);
    assert!(folder.refused("bomb.npz", &zip_of("a.npy", &bomb)).contains("truncated"));
    assert!(folder.refused("other.npz", &zip_of("a.txt", b"hello")).contains("other.npz"));
    let path = folder.file("good.npz", &whole).display().to_string();
    assert!(load(format!("{path}:b")).unwrap_err().to_string().contains("no array called b; there are a"));
}

#[test]
fn csv_files() {
    let folder = Folder::new();
    assert!(folder.refused("empty.csv", b"").contains("header"));
    assert!(folder.refused("header.csv", b"a,b\n").contains("no row"));
    assert!(folder.refused("numbers.csv", b"1,2\n3,4\n").contains("header"));
    assert!(folder.refused("ragged.csv", b"a,b\n1,2\n3\n").contains("line 3: 1 cells where the header has 2"));
    assert!(folder.refused("binary.csv", b"a,b\n1,\xff\xfe\n").contains("line 2, column 2: not UTF-8"));
    let negative = load(folder.file("negative.csv", b"a\n0\n-3\n")).unwrap().discrete(Coding::Learn(None));
    assert!(negative.unwrap_err().to_string().contains("line 3, column a: -3 is not a category"));
    let huge = load(folder.file("huge.csv", b"a\n0\n60000\n")).unwrap().discrete(Coding::Learn(None));
    assert!(huge.unwrap_err().to_string().contains("bin them first"));
}

#[test]
fn idx_files() {
    let folder = Folder::new();
    let whole = [&[0, 0, 8, 2, 0, 0, 0, 2, 0, 0, 0, 3][..], &[1; 6]].concat();
    let Loaded::Array(array) = load(folder.file("good-idx2-ubyte", &whole)).unwrap() else { panic!() };
    assert_eq!(array.shape, [2, 3]);
    assert!(folder.refused("cut-idx2-ubyte", &whole[..15]).contains("promises 6 bytes, 3 are there"));
    assert!(folder.refused("short-idx2-ubyte", &whole[..7]).contains("header"));
    assert!(folder.refused("typed-idx2-ubyte", &[0, 0, 13, 1, 0, 0, 0, 1, 0, 0, 0, 0]).contains("unsigned bytes"));
    let hostile = [0, 0, 8, 4, 255, 255, 255, 255, 255, 255, 255, 255, 255, 255, 255, 255, 255, 255, 255, 255];
    assert!(folder.refused("hostile-idx4-ubyte", &hostile).contains("cannot exist"));
    let large = [0, 0, 8, 3, 0, 255, 255, 255, 0, 0, 4, 0, 0, 0, 4, 0, 1];
    let message = folder.refused("large-idx3-ubyte", &large);
    assert!(message.contains("truncated") || message.contains("of memory"), "{message}");
    let mut gzip = flate2::write::GzEncoder::new(Vec::new(), flate2::Compression::best());
    gzip.write_all(&whole).unwrap();
    let gzip = gzip.finish().unwrap();
    assert!(load(folder.file("good-idx2-ubyte.gz", &gzip)).is_ok());
    folder.refused("cut-idx2-ubyte.gz", &gzip[..gzip.len() / 2]);
}

#[test]
fn image_folders() {
    let folder = Folder::new();
    assert!(load(folder.0.path()).unwrap_err().to_string().contains("without .png"));
    let save = |name: &str, w, h| image::GrayImage::new(w, h).save(folder.0.path().join(name)).unwrap();
    save("a.png", 4, 3);
    save("b.png", 4, 3);
    let Loaded::Array(array) = load(folder.0.path()).unwrap() else { panic!() };
    assert_eq!(array.shape, [2, 1, 3, 4]);
    let whole = fs::read(folder.0.path().join("a.png")).unwrap();
    folder.file("c.png", &whole[..whole.len() / 2]);
    assert!(load(folder.0.path()).unwrap_err().to_string().contains("c.png"));
    save("c.png", 5, 3);
    assert!(load(folder.0.path()).unwrap_err().to_string().contains("[1, 3, 5]"));
    let mut wide = whole.clone();
    wide[16..24].copy_from_slice(&[127, 255, 255, 255, 127, 255, 255, 255]);
    folder.file("c.png", &wide);
    assert!(load(folder.0.path()).unwrap_err().to_string().contains("c.png"));
}

#[test]
fn unknown_formats_and_text() {
    let folder = Folder::new();
    assert!(folder.refused("notes.md", b"hello").contains("not a format that is read"));
    assert!(folder.refused("notes.txt", b"").contains("no character"));
    assert!(folder.refused("notes.txt", b"hell\xff").contains("not UTF-8 from byte 4 on"));
    assert!(folder.refused("notes.txt.gz", b"\x1f\x8b\x08\0").contains("notes.txt.gz"));
    let path = folder.file("text8", b"abc d3f");
    assert!(Text::load_text8(&path).unwrap_err().to_string().contains("character 5, '3'"));
    assert!(Text::load_bytes(folder.file("enwik8", b"")).is_err());
    let path = folder.file("flat-idx2-ubyte", &[0, 0, 8, 2, 0, 0, 0, 1, 0, 0, 0, 4, 1, 2, 3, 4]);
    assert!(Images::<1, 2, 2>::load(&path).is_ok());
    assert!(Images::<1, 3, 3>::load(&path).unwrap_err().to_string().contains("1 × 3 × 3"));
}

#[test]
fn every_shipped_file_loads() {
    assert_eq!(shipped::digits().unwrap().len(), 1797);
    let (train, test) = shipped::fashion_mnist().unwrap();
    assert_eq!((train.len(), test.len(), train.labels().len()), (3000, 1000, 3000));
    for name in ["brick", "grass", "gravel"] {
        assert_eq!(shipped::texture(name).unwrap().len(), 1);
    }
    assert!(shipped::photo_patches::<8>("coffee").unwrap().len() == 2500);
    assert!(shipped::photo_patches::<8>("chelsea").unwrap().len() > 2000);
    assert_eq!(shipped::satellite().unwrap().len(), 6435);
    assert_eq!(shipped::relief_tiles().unwrap().len(), 1185);
    assert!(shipped::addresses_text8().unwrap().len() > 1_800_000);
    assert!(shipped::moby_dick().unwrap().starts_with("CHAPTER 1. Loomings."));
    assert!(shipped::texture("marble").unwrap_err().to_string().contains("marble.png"));
}

#[test]
fn arrays_that_are_empty_and_wide() {
    let folder = Folder::new();
    let wide = [0, 0, 8, 2, 0, 0, 0, 0, 255, 255, 255, 255];
    let header = "{'descr': '<f8', 'fortran_order': False, 'shape': (0, 9000000000000000), }";
    for (name, bytes) in [("wide-idx2-ubyte", wide.to_vec()), ("wide.npy", npy(header, &[]))] {
        let path = folder.file(name, &bytes);
        let Ok(loaded) = load(&path) else { continue };
        assert!(loaded.discrete(Coding::Learn(None)).unwrap_err().to_string().contains("holds no value"));
        assert!(loaded.continuous(None).unwrap_err().to_string().contains("holds no value"));
    }
}

#[test]
fn pictures_that_are_larger_than_their_files_and_ones_that_break_their_decoder() {
    let folder = Folder::new();
    let fixture =
        |name: &str| fs::read(format!("{}/tests/fixtures/hostile/{name}", env!("CARGO_MANIFEST_DIR"))).unwrap();
    for name in ["bomb.png", "palette.png"] {
        let folder_of_one = folder.0.path().join(name.replace('.', "-"));
        fs::create_dir(&folder_of_one).unwrap();
        fs::write(folder_of_one.join(name), fixture(name)).unwrap();
        let message = load(&folder_of_one).unwrap_err().to_string();
        assert!(message.contains(name) && !message.contains('\n'), "{message}");
    }
}

#[test]
fn a_hundred_thousand_columns() {
    let folder = Folder::new();
    let names: Vec<String> = (0..100_000).map(|i| format!("c{i}")).collect();
    let text = format!("{}\n{}\n", names.join(","), vec!["1"; 100_000].join(","));
    let loaded = load(folder.file("wide.csv", text.as_bytes())).unwrap();
    let rows = loaded.discrete(Coding::Learn(None)).unwrap();
    let again = loaded.discrete(Coding::Use(limbeck::data::Rows::schema(&rows), Unseen::Error)).unwrap();
    assert_eq!(again.codes().len(), 100_000);
}

#[test]
fn words_that_look_like_numbers_stay_the_words_they_were() {
    let folder = Folder::new();
    let rows = |name: &str, text: &str| load(folder.file(name, text.as_bytes())).unwrap();
    let train = rows("train.csv", "a,b\n007,0\nA12,1\n007,1\n").discrete(Coding::Learn(None)).unwrap();
    let schema = limbeck::data::Rows::schema(&train).clone();
    assert_eq!(schema.variables[0].words.as_deref().unwrap(), ["007", "A12"]);
    let score = rows("score.csv", "a,b\n007,0\n").discrete(Coding::Use(&schema, Unseen::Error)).unwrap();
    assert_eq!(score.codes(), [0, 0]);
    let unseen = rows("unseen.csv", "b,a\n0,B7\n5,007\n");
    let error = unseen.discrete(Coding::Use(&schema, Unseen::Error)).unwrap_err().to_string();
    assert!(
        error.contains("line 2, column a: B7 is not one of the categories 007, A12; `--unseen missing`"),
        "{error}"
    );
    let lenient = unseen.discrete(Coding::Use(&schema, Unseen::Missing)).unwrap();
    assert_eq!(lenient.codes(), [MISSING, 0, 0, MISSING]);
    // All of them numbers, some with a zero before: names still.
    let codes = rows("codes.csv", "zip\n02134\n10001\n").discrete(Coding::Learn(None)).unwrap();
    assert_eq!(limbeck::data::Rows::schema(&codes).variables[0].categories, 2);
}

#[test]
fn an_empty_cell_of_a_single_column_is_a_missing_value() {
    let folder = Folder::new();
    let rows = load(folder.file("one.csv", b"a\n1\n\n0\n\n1\n")).unwrap().discrete(Coding::Learn(None)).unwrap();
    assert_eq!(rows.codes(), [1, MISSING, 0, MISSING, 1]);
}

#[test]
#[cfg(unix)]
fn pipes_and_parquet_are_refused_at_once() {
    let folder = Folder::new();
    let fifo = folder.0.path().join("rows.csv");
    assert!(std::process::Command::new("mkfifo").arg(&fifo).status().unwrap().success());
    assert!(load(&fifo).unwrap_err().to_string().contains("a pipe or a device"));
    assert!(folder.refused("t.parquet", b"PAR1").contains("save it as .csv or .npy"));
}

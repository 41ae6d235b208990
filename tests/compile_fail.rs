//! What the types refuse.

#[test]
fn mistakes_that_do_not_compile() {
    let cases = trybuild::TestCases::new();
    cases.compile_fail("tests/compile_fail/*.rs");
}

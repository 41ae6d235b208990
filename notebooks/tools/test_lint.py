"""Where a `?` returns from the cell, and where it only looks so."""

import unittest

from lint import top_level_question

RETURNS_FROM_THE_CELL = [
    'let x = "3".parse::<i32>()?;',
    "for i in 0..3 { f(i)?; }",
    "if a { g()? }",
    "{ let a = b | c; d()? }",
    "match x { Some(y) | None => f()?, }",
    "let v = vec![f()?];",
    "let y = x.map(|v| v + 1); f()?;",
    "f(|| 3, g()?)",
    "let f = |x| { x? };\nlet y = g()?;",
    "let x = a || b || c()?;",
    "let x = a && b()?;",
    "fn a() {} f()?",
    # Literals and comments that would hide what follows, were they misread.
    "let c = '\"'; f()?; let d = '\"';",
    r"let q = b'\''; f()?",
    "let x: &'static str = f()?;",
    '/* " */ f()?',
    "/* /* */ */ f()?",
    'let a = r#"""# ; f()?',
]
RETURNS_FROM_SOMETHING_IN_IT = [
    "fn f() -> R { g()?; Ok(()) }",
    "impl A { fn b(&self) -> R { if x { g()? } Ok(()) } }",
    "enum E { A }\nimpl E { fn x() -> R<()> { y()?; z()? } }",
    "let y = xs.iter().map(|x| x.parse::<f32>()?);",
    "let y = xs.into_iter().map(|x| match x { A => g()?, B => h()? });",
    "let y = (|| { g()?; Ok(()) })();",
    "let y = move |a: &'static str| -> R { g()?; Ok(()) };",
    "let d = |x: u8| if x > 1 { g()? } else { h()? };",
    "let f = |a| |b| a(b)?;",
    "let b = async { g().await?; };",
    'let job: Job<R> = Job::spawn("a", |h| { for i in 0..3 { g()?; } Ok(()) });',
]
IS_NO_OPERATOR = [
    'let s = "what?";',
    'let x = c"a?"; let y = br#"?"#;',
    'let r = r##"a"#?"##;',
    "// what?\nlet a = 1;",
    "/* ? /* ? */ ? */ f()",
    "let c = '?';",
    "let a: &'a str = \"?\"; let b = '\\u{3f}';",
    "struct A<T: ?Sized>(T);",
    "fn f<T: Copy + ?Sized>(t: &T) {}",
    "macro_rules! m { ($($x:expr),* $(,)?) => {} }",
    ':dep x = "?"',
]


class Lint(unittest.TestCase):
    def test_a_question_that_ends_the_cell_is_found(self):
        for source in RETURNS_FROM_THE_CELL:
            with self.subTest(source):
                self.assertIsNotNone(top_level_question(source))

    def test_any_other_is_left_alone(self):
        for source in RETURNS_FROM_SOMETHING_IN_IT + IS_NO_OPERATOR:
            with self.subTest(source):
                self.assertIsNone(top_level_question(source))

    def test_the_line_is_named(self):
        self.assertEqual(top_level_question('let a = r"\n?";\n\nlet b = f()?;'), 4)


if __name__ == "__main__":
    unittest.main()

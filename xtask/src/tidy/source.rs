//! One Rust file in three views of the same length: code, comments, and all but comments.
//!
//! What a view does not show is blank there, so an offset means the same place in each. A rule on
//! code cannot be misled by a word in a string or in a comment.

use std::ops::Range;

use super::test_code;

/// A Rust file.
pub struct Source<'a> {
    /// From the root of the repository.
    pub path: &'a str,
    /// As it is.
    pub text: &'a str,
    /// Without strings, characters and comments.
    pub code: String,
    /// Comments alone.
    pub comments: String,
    /// Code and strings.
    pub spoken: String,
    /// The whole file is part of the tests.
    pub is_test: bool,
    tests: Vec<Range<usize>>,
    line_starts: Vec<usize>,
}

#[derive(Clone, Copy, PartialEq, Eq)]
enum Kind {
    Code,
    Comment,
    Literal,
}

impl<'a> Source<'a> {
    pub fn new(path: &'a str, text: &'a str) -> Self {
        let pieces = pieces(text);
        let view = |shown: &[Kind]| {
            let mut view = String::with_capacity(text.len());
            for (kind, range) in &pieces {
                if shown.contains(kind) {
                    view.push_str(&text[range.clone()]);
                } else {
                    let blank = |byte| if byte == b'\n' { '\n' } else { ' ' };
                    view.extend(text[range.clone()].bytes().map(blank));
                }
            }
            view
        };
        let code = view(&[Kind::Code]);
        let spoken = view(&[Kind::Code, Kind::Literal]);
        let tests = test_code::regions(&code, text);
        let line_starts = text.match_indices('\n').map(|(at, _)| at + 1);
        Self {
            path,
            text,
            comments: view(&[Kind::Comment]),
            spoken,
            is_test: test_code::is_test_path(path) || test_code::is_test_whole(&code, text),
            tests,
            line_starts: std::iter::once(0).chain(line_starts).collect(),
            code,
        }
    }

    /// The line of an offset, counted from 1.
    pub fn line(&self, offset: usize) -> usize {
        self.line_starts.partition_point(|&start| start <= offset)
    }

    /// Whether an offset is in code that only tests run.
    pub fn in_test(&self, offset: usize) -> bool {
        self.is_test || self.tests.iter().any(|range| range.contains(&offset))
    }

    /// Whether this file is part of what runs in production: not a test, not what tests a cluster,
    /// not this program.
    pub fn is_product(&self) -> bool {
        let is_tool = ["cluster/", "xtask/"].iter().any(|folder| self.path.starts_with(folder));
        !self.is_test && !is_tool
    }
}

/// Where `word` stands in `view` as a word of its own.
pub fn words<'a>(view: &'a str, word: &'a str) -> impl Iterator<Item = usize> + 'a {
    view.match_indices(word).map(|(at, _)| at).filter(move |&at| {
        let before = view[..at].chars().next_back();
        let after = view[at + word.len()..].chars().next();
        let joins_after = word.ends_with(is_word) && after.is_some_and(is_word);
        !before.is_some_and(is_word) && !joins_after
    })
}

/// Whether a character can be part of a name.
pub fn is_word(c: char) -> bool {
    c == '_' || c.is_alphanumeric()
}

/// Cuts a text into code, comments and literals, in order and without gaps.
fn pieces(text: &str) -> Vec<(Kind, Range<usize>)> {
    let bytes = text.as_bytes();
    let mut pieces = Vec::new();
    let (mut code_start, mut at) = (0, 0);
    while at < bytes.len() {
        let Some((kind, end)) = not_code(text, at) else {
            at += 1;
            continue;
        };
        pieces.push((Kind::Code, code_start..at));
        pieces.push((kind, at..end));
        (code_start, at) = (end, end);
    }
    pieces.push((Kind::Code, code_start..text.len()));
    pieces
}

/// The comment or literal that begins at `at`, and where it ends.
fn not_code(text: &str, at: usize) -> Option<(Kind, usize)> {
    let bytes = text.as_bytes();
    let rest = &bytes[at..];
    let length = match rest {
        [b'/', b'/', ..] => return Some((Kind::Comment, at + until_newline(rest))),
        [b'/', b'*', ..] => return Some((Kind::Comment, at + block_comment(rest))),
        [b'"', ..] => quoted(rest, b'"'),
        [b'\'', ..] => character(&text[at..])?,
        [b'r', ..] => {
            let prefixed = at > 0 && matches!(bytes[at - 1], b'b' | b'c');
            let name_end = at - usize::from(prefixed);
            if text[..name_end].chars().next_back().is_some_and(is_word) {
                return None;
            }
            raw_string(rest)?
        }
        _ => return None,
    };
    Some((Kind::Literal, at + length))
}

fn until_newline(rest: &[u8]) -> usize {
    rest.iter().position(|&byte| byte == b'\n').unwrap_or(rest.len())
}

fn block_comment(rest: &[u8]) -> usize {
    let (mut depth, mut at) = (0_usize, 0);
    while at < rest.len() {
        match &rest[at..] {
            [b'/', b'*', ..] => (depth, at) = (depth + 1, at + 2),
            [b'*', b'/', ..] => (depth, at) = (depth - 1, at + 2),
            _ => at += 1,
        }
        if depth == 0 {
            return at;
        }
    }
    rest.len()
}

/// The length of a literal that begins and ends with `quote`, with escapes.
fn quoted(rest: &[u8], quote: u8) -> usize {
    let mut at = 1;
    while at < rest.len() {
        match rest[at] {
            b'\\' => at += 2,
            byte if byte == quote => return at + 1,
            _ => at += 1,
        }
    }
    rest.len()
}

/// The length of a character literal; `None` for a lifetime.
fn character(rest: &str) -> Option<usize> {
    let mut chars = rest.char_indices().skip(1);
    let (_, first) = chars.next()?;
    if first == '\\' {
        return Some(quoted(rest.as_bytes(), b'\''));
    }
    chars.next().filter(|&(_, c)| c == '\'').map(|(at, _)| at + 1)
}

/// The length of `r"..."` with any number of `#`; `None` for a name that begins with r.
fn raw_string(rest: &[u8]) -> Option<usize> {
    let hashes = rest[1..].iter().take_while(|&&byte| byte == b'#').count();
    if rest.get(1 + hashes) != Some(&b'"') {
        return None;
    }
    let body = 2 + hashes;
    let closes = |at: &usize| {
        rest[*at] == b'"'
            && rest.len() - at > hashes
            && rest[at + 1..=at + hashes].iter().all(|&byte| byte == b'#')
    };
    Some((body..rest.len()).find(closes).map_or(rest.len(), |at| at + 1 + hashes))
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn strings_and_comments_are_not_code() {
        let text = concat!(
            "let a = \"x \\\" one\"; // two\n",
            "/* three /* four */ five */ let b = r#\"six \" seven\"#;\n",
            "let c = ('\"', '\\'', b'\\n', 'é', br\"eight\", c\"nine\"); fn f<'a>(r: &'a R) {}\n",
        );
        let source = Source::new("a.rs", text);
        for word in ["one", "two", "three", "four", "five", "six", "seven", "eight", "nine"] {
            assert!(!source.code.contains(word), "{word} in {}", source.code);
            let in_comment = ["two", "three", "four", "five"].contains(&word);
            assert_eq!(source.comments.contains(word), in_comment, "{word}");
            assert_eq!(source.spoken.contains(word), !in_comment, "{word}");
        }
        assert!(source.code.contains("fn f<'a>(r: &'a R) {}"), "{}", source.code);
        for view in [&source.code, &source.comments, &source.spoken] {
            assert_eq!(view.len(), text.len());
            assert_eq!(view.matches('\n').count(), 3);
        }
    }

    #[test]
    fn text_that_ends_inside_a_literal_ends_there() {
        for text in ["\"a", "\"a\\", "r#\"a\"", "/* a", "'\\", "'", "'a", "r", "r#", "b'"] {
            assert_eq!(Source::new("a.rs", text).code.len(), text.len(), "{text}");
        }
    }

    #[test]
    fn an_offset_has_a_line() {
        let source = Source::new("a.rs", "one\ntwo\n");
        assert_eq!([0, 3, 4, 8].map(|offset| source.line(offset)), [1, 1, 2, 3]);
    }

    #[test]
    fn a_word_is_not_part_of_another() {
        let found: Vec<usize> = words("sleep sleeps _sleep x.sleep()", "sleep").collect();
        assert_eq!(found, [0, 22]);
    }
}

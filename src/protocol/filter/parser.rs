//! Reads the text of a filter. What it holds is bounded before it is built: bytes first, then depth and terms on the way.

use std::borrow::Cow;

use super::expression::{Expression, Number, Operator, Path, Scalar, Source, Test, is_keyword, is_name_byte};
use super::{FILTER_BYTES_MAX, FILTER_DEPTH_MAX, FILTER_TERMS_MAX, FilterError};

/// How much of the text an error shows, in characters.
const FOUND_CHARS_MAX: usize = 16;

pub(super) fn parse(text: &str) -> Result<Expression, FilterError> {
    let mut parser = Parser { text, at: 0, depth: 0, terms: 0 };
    if text.len() > FILTER_BYTES_MAX {
        parser.at = text.floor_char_boundary(FILTER_BYTES_MAX);
        return Err(parser.wrong(format!("it is longer than {FILTER_BYTES_MAX} bytes")));
    }
    let expression = parser.any()?;
    match parser.peek() {
        None => Ok(expression),
        Some(_) => Err(parser.wrong("expected and, or, or the end")),
    }
}

struct Parser<'a> {
    text: &'a str,
    /// Always at the border of a character.
    at: usize,
    depth: usize,
    terms: usize,
}

impl<'a> Parser<'a> {
    fn wrong(&self, why: impl Into<Cow<'static, str>>) -> FilterError {
        let rest: String = self.rest().chars().take(FOUND_CHARS_MAX).collect();
        let found = if rest.is_empty() { "the end".to_owned() } else { format!("{rest:?}") };
        FilterError { at: self.at, found, why: why.into() }
    }

    fn rest(&self) -> &'a str {
        &self.text[self.at..]
    }

    /// The next byte that is no white space, which is passed over.
    fn peek(&mut self) -> Option<u8> {
        let rest = self.rest();
        self.at += rest.len() - rest.trim_start_matches([' ', '\t', '\r', '\n']).len();
        self.rest().bytes().next()
    }

    fn take(&mut self, token: &str) -> bool {
        self.peek();
        let taken = self.rest().starts_with(token);
        if taken {
            self.at += token.len();
        }
        taken
    }

    /// The run of name characters ahead.
    fn word(&mut self) -> &'a str {
        self.peek();
        let rest = self.rest();
        &rest[..rest.bytes().position(|byte| !is_name_byte(byte)).unwrap_or(rest.len())]
    }

    fn take_keyword(&mut self, keyword: &str) -> bool {
        let taken = self.word().eq_ignore_ascii_case(keyword);
        if taken {
            self.at += keyword.len();
        }
        taken
    }

    fn any(&mut self) -> Result<Expression, FilterError> {
        let mut parts = vec![self.all()?];
        while self.take_keyword("or") {
            parts.push(self.all()?);
        }
        Ok(Expression::Any(parts))
    }

    fn all(&mut self) -> Result<Expression, FilterError> {
        let mut parts = vec![self.one()?];
        while self.take_keyword("and") {
            parts.push(self.one()?);
        }
        Ok(Expression::All(parts))
    }

    fn one(&mut self) -> Result<Expression, FilterError> {
        let opens = self.peek() == Some(b'(');
        if !opens && !self.word().eq_ignore_ascii_case("not") {
            return self.term();
        }
        if self.depth == FILTER_DEPTH_MAX {
            return Err(self.wrong(format!("it is nested deeper than {FILTER_DEPTH_MAX} levels")));
        }
        self.depth += 1;
        let inner = if opens {
            self.at += 1;
            let inner = self.any()?;
            if !self.take(")") {
                return Err(self.wrong("expected and, or, or a closing bracket"));
            }
            inner
        } else {
            self.at += "not".len();
            Expression::Not(Box::new(self.one()?))
        };
        self.depth -= 1;
        Ok(inner)
    }

    fn term(&mut self) -> Result<Expression, FilterError> {
        let path = self.path()?;
        let test = if self.take_keyword("exists") {
            self.count()?;
            Test::Exists
        } else if self.take_keyword("prefix") {
            self.count()?;
            Test::Prefix(self.prefix()?)
        } else if self.take_keyword("in") {
            Test::In(self.list()?)
        } else {
            self.count()?;
            Test::Is(self.operator()?, self.scalar()?)
        };
        Ok(Expression::Term(path, test))
    }

    fn count(&mut self) -> Result<(), FilterError> {
        self.terms += 1;
        if self.terms > FILTER_TERMS_MAX {
            return Err(self.wrong(format!("it has more than {FILTER_TERMS_MAX} comparisons, values of lists included")));
        }
        Ok(())
    }

    fn operator(&mut self) -> Result<Operator, FilterError> {
        const OPERATORS: [(&str, Operator); 6] = [
            ("!=", Operator::Unequal),
            (">=", Operator::GreaterOrEqual),
            ("<=", Operator::LessOrEqual),
            ("=", Operator::Equal),
            (">", Operator::Greater),
            ("<", Operator::Less),
        ];
        let found = OPERATORS.iter().find(|(token, _)| self.take(token)).map(|(_, operator)| *operator);
        found.ok_or_else(|| self.wrong("expected =, !=, >, >=, <, <=, in, prefix or exists"))
    }

    fn path(&mut self) -> Result<Path, FilterError> {
        let quoted = matches!(self.peek(), Some(b'\'' | b'"'));
        let first = self.step(false)?;
        let (source, mut steps) = match &*first {
            // In quotes it is the name of a field, whatever it says.
            "data" if !quoted => (Source::Data, Vec::new()),
            "headers" if !quoted => (Source::Headers, Vec::new()),
            _ => (Source::Data, vec![first]),
        };
        // No white space around the dots, as in numbers.
        while self.rest().starts_with('.') {
            self.at += 1;
            steps.push(self.step(true)?);
        }
        Ok(Path { source, steps })
    }

    fn step(&mut self, follows: bool) -> Result<Box<str>, FilterError> {
        const EXPECTED: &str = "expected the name of a field; quote it where it is no plain name or one of the filter's own words";
        match self.rest().bytes().next() {
            Some(b'\'' | b'"') => self.text_in_quotes(),
            Some(first) if first.is_ascii_alphabetic() || first == b'_' || (follows && first.is_ascii_digit()) => {
                let word = self.word();
                if is_keyword(word) {
                    return Err(self.wrong(EXPECTED));
                }
                self.at += word.len();
                Ok(word.into())
            }
            _ => Err(self.wrong(EXPECTED)),
        }
    }

    fn prefix(&mut self) -> Result<Box<str>, FilterError> {
        let before = self.at;
        match self.scalar()? {
            Scalar::Text(text) => Ok(text),
            _ => {
                self.at = before;
                self.peek();
                Err(self.wrong("a prefix is a text"))
            }
        }
    }

    fn list(&mut self) -> Result<Vec<Scalar>, FilterError> {
        if !self.take("(") {
            return Err(self.wrong("expected a list in brackets, as in ('eu', 'us')"));
        }
        let mut values = Vec::new();
        loop {
            self.count()?;
            values.push(self.scalar()?);
            if self.take(")") {
                return Ok(values);
            }
            if !self.take(",") {
                return Err(self.wrong("expected a comma or a closing bracket"));
            }
        }
    }

    fn scalar(&mut self) -> Result<Scalar, FilterError> {
        match self.peek() {
            Some(b'\'' | b'"') => self.text_in_quotes().map(Scalar::Text),
            Some(first) if first == b'-' || first.is_ascii_digit() => self.number(),
            Some(first) if first.is_ascii_alphabetic() || first == b'_' => self.bare(),
            _ => Err(self.wrong("expected a number, a text, true, false or null")),
        }
    }

    fn number(&mut self) -> Result<Scalar, FilterError> {
        let rest = self.rest();
        let is_part = |byte: u8| is_name_byte(byte) || matches!(byte, b'.' | b'+' | b'@');
        let token = &rest[..rest.bytes().position(|byte| !is_part(byte)).unwrap_or(rest.len())];
        let number = serde_json::from_str::<serde_json::Number>(token).ok().as_ref().and_then(Number::of);
        let number = number.ok_or_else(|| self.wrong("that is no number; quote texts, as in '2026-01-31'"))?;
        self.at += token.len();
        Ok(Scalar::Number(number))
    }

    /// A word that stands for itself, or one of the three that do not.
    fn bare(&mut self) -> Result<Scalar, FilterError> {
        let word = self.word();
        let scalar = match word {
            _ if word.eq_ignore_ascii_case("true") => Scalar::Bool(true),
            _ if word.eq_ignore_ascii_case("false") => Scalar::Bool(false),
            _ if word.eq_ignore_ascii_case("null") => Scalar::Null,
            _ if is_keyword(word) => return Err(self.wrong("that is one of the filter's own words; quote it to mean the text")),
            _ => Scalar::Text(word.into()),
        };
        self.at += word.len();
        Ok(scalar)
    }

    /// A backslash takes the next character as it is; only quotes and backslashes need one.
    fn text_in_quotes(&mut self) -> Result<Box<str>, FilterError> {
        let opened = self.at;
        let mut chars = self.rest().char_indices();
        let Some((_, quote)) = chars.next() else { return Err(self.wrong("expected a text")) };
        let mut text = String::new();
        while let Some((offset, char)) = chars.next() {
            match char {
                _ if char == quote => {
                    self.at += offset + char.len_utf8();
                    return Ok(text.into());
                }
                '\\' => match chars.next() {
                    Some((_, escaped @ ('\'' | '"' | '\\'))) => text.push(escaped),
                    _ => {
                        self.at = opened + offset;
                        return Err(self.wrong("a backslash stands only before a quote or another backslash"));
                    }
                },
                _ => text.push(char),
            }
        }
        Err(self.wrong("the text has no closing quote"))
    }
}

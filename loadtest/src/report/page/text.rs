//! Foreign text in HTML: whatever it holds, it stays text.

use std::fmt::{self, Write as _};

/// Writes the text escaped, for elements' contents and for attributes in double quotes alike.
pub(crate) struct Text<'a>(pub &'a str);

impl fmt::Display for Text<'_> {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        for letter in self.0.chars() {
            match letter {
                '&' => f.write_str("&amp;")?,
                '<' => f.write_str("&lt;")?,
                '>' => f.write_str("&gt;")?,
                '"' => f.write_str("&quot;")?,
                '\'' => f.write_str("&#39;")?,
                // No browser shows them, and HTML has no way to write them.
                control if control.is_control() && control != '\n' && control != '\t' => f.write_char('\u{fffd}')?,
                other => f.write_char(other)?,
            }
        }
        Ok(())
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn nothing_in_a_text_is_markup() {
        assert_eq!(Text(r#"<b a="x">&'"#).to_string(), "&lt;b a=&quot;x&quot;&gt;&amp;&#39;");
        assert_eq!(Text("a\0b").to_string(), "a\u{fffd}b");
    }
}

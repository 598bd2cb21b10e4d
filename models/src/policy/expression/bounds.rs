//! What a text must keep to before it reaches the parser: its length, depth and size, and the parts of CEL that are
//! refused by name.
//!
//! The parser recurses on brackets, signs and ternaries, and slices its text by token; here runs only a flat loop
//! over the same tokens. Whatever passes is too small to exhaust a stack. Nothing is understood here.

use cel::parser::pratt_parser::{Lexer, Token, TokenKind};

use super::ExpressionFault;

/// The longest text, in bytes.
pub const MAX_BYTES: usize = 4_096;
/// The deepest nesting of brackets, signs, ternaries and members.
pub const MAX_DEPTH: usize = 32;
/// The most operands and operators; a dotted name counts as one, and so does a call.
pub const MAX_NODES: usize = 256;

/// What CEL calls macros: loops, which a decision may not contain.
const LOOPS: [&str; 6] = ["all", "exists", "exists_one", "existsOne", "map", "filter"];

/// Operators that CEL writes otherwise than a sentence would.
const SIGNS: [(&str, &str); 3] = [("and", "&&"), ("or", "||"), ("not", "!")];

/// The tokens of `text` that carry meaning, if it keeps to the bounds.
pub(super) fn tokens(text: &str) -> Result<Vec<Token>, ExpressionFault> {
    if text.len() > MAX_BYTES {
        let message = format!("the text has {} bytes; at most {MAX_BYTES} are allowed", text.len());
        return Err(ExpressionFault::at(text, 0, message));
    }
    let tokens = lex(text)?;
    if tokens.is_empty() {
        return Err(ExpressionFault::at(text, 0, "the text is empty".to_owned()));
    }
    let mut size = Size::default();
    for token in &tokens {
        size.count(token);
    }
    if let Some(at) = size.too_deep {
        let message = format!("nested {} deep; at most {MAX_DEPTH} is allowed", size.deepest);
        return Err(ExpressionFault::at(text, at, message));
    }
    if let Some(at) = size.too_many {
        let message = format!("has {} operands and operators; at most {MAX_NODES} are allowed", size.nodes);
        return Err(ExpressionFault::at(text, at, message));
    }
    match tokens.iter().enumerate().find_map(|(at, token)| Some((token, refusal(text, &tokens, at)?))) {
        Some((token, message)) => Err(ExpressionFault::at(text, token.start, message)),
        None => Ok(tokens),
    }
}

fn lex(text: &str) -> Result<Vec<Token>, ExpressionFault> {
    let mut lexer = Lexer::new(text);
    let mut tokens = Vec::new();
    loop {
        let token = lexer.lex();
        match token.kind {
            TokenKind::TokEnd => return Ok(tokens),
            TokenKind::TokWhitespace | TokenKind::TokComment => {}
            TokenKind::TokError => {
                let error = lexer.get_error().map_or("cannot be read", |error| &error.message);
                let first = text[token.start..].chars().next().unwrap_or_default();
                let message = match error {
                    "unexpected character" => format!("unexpected character {first:?}"),
                    other => other.to_owned(),
                };
                return Err(ExpressionFault::at(text, token.start, message));
            }
            _ => tokens.push(token),
        }
    }
}

/// Why the token at `at` has no place in an expression, and what has.
fn refusal(text: &str, tokens: &[Token], at: usize) -> Option<String> {
    let word = &text[tokens[at].start..tokens[at].end];
    let called = tokens.get(at + 1).is_some_and(|next| next.kind == TokenKind::TokLeftParen);
    let member = at > 0 && tokens[at - 1].kind == TokenKind::TokDot;
    match tokens[at].kind {
        TokenKind::TokEqual => Some("= is no operator; equality is ==".to_owned()),
        TokenKind::TokNull => {
            Some("null is not known here; has(name) says whether a value is known".to_owned())
        }
        TokenKind::TokBytes => Some(format!("{word} is of bytes; write a text, without the b")),
        TokenKind::TokLeftBrace => {
            Some("maps and messages are not known here; values are asked for by name".to_owned())
        }
        TokenKind::TokIdent if word.starts_with('`') => {
            Some(format!("{word} is a quoted name; names are written without quotes"))
        }
        TokenKind::TokIdent if called && LOOPS.contains(&word) => Some(format!(
            "`{word}` loops over a list, which is not done here; write its cases with && and ||"
        )),
        TokenKind::TokIdent if !member => {
            let sign = SIGNS.iter().find(|(name, _)| *name == word.to_ascii_lowercase())?.1;
            Some(format!("`{word}` is written {sign}"))
        }
        _ => None,
    }
}

/// The size of what was counted so far, as the parser will recurse over it.
#[derive(Default)]
struct Size {
    /// How deep the parser stands: brackets, and the signs and ternaries that are open in them.
    depth: usize,
    /// For each open bracket: the depth within the bracket that ends with it, and of it the signs.
    outer: Vec<(usize, usize)>,
    /// Ternaries and signs of the innermost bracket.
    inner: usize,
    signs: usize,
    /// Members selected one from the other.
    members: usize,
    previous: Option<TokenKind>,
    nodes: usize,
    deepest: usize,
    too_deep: Option<usize>,
    too_many: Option<usize>,
}

impl Size {
    fn count(&mut self, token: &Token) {
        use TokenKind::{
            TokColon, TokComma, TokDot, TokExclamation, TokIdent, TokLeftBrace, TokLeftBracket, TokLeftParen,
            TokMinus, TokQuestion, TokReservedWord, TokRightBrace, TokRightBracket, TokRightParen,
        };
        let member = self.previous == Some(TokDot);
        match token.kind {
            TokLeftParen | TokLeftBracket | TokLeftBrace => {
                self.outer.push((self.inner, self.signs));
                (self.inner, self.signs) = (0, 0);
                self.depth += 1;
            }
            TokRightParen | TokRightBracket | TokRightBrace => self.close(),
            TokExclamation => self.sign(),
            TokMinus if !self.after_operand() => self.sign(),
            TokQuestion => self.open_ternary(),
            TokComma => {
                self.depth -= self.inner;
                (self.inner, self.signs) = (0, 0);
            }
            TokDot => self.members += 1,
            _ => self.end_signs(),
        }
        if !(matches!(token.kind, TokDot) || member && matches!(token.kind, TokIdent | TokReservedWord)) {
            self.members = 0;
        }
        let silent = matches!(
            token.kind,
            TokLeftParen | TokRightParen | TokRightBracket | TokRightBrace | TokComma | TokColon | TokDot
        );
        // Without calls counted, a.b().b().b() would be deep and count for nothing.
        let call = token.kind == TokLeftParen && self.previous == Some(TokIdent);
        self.nodes += usize::from(!silent && !member || call);
        self.previous = Some(token.kind);
        self.judge(token.start);
    }

    fn judge(&mut self, at: usize) {
        let depth = self.depth + self.members;
        self.deepest = self.deepest.max(depth);
        if depth > MAX_DEPTH {
            self.too_deep.get_or_insert(at);
        }
        if self.nodes > MAX_NODES {
            self.too_many.get_or_insert(at);
        }
    }

    fn after_operand(&self) -> bool {
        use TokenKind::{
            TokBytes, TokFalse, TokFloat, TokIdent, TokInt, TokNull, TokReservedWord, TokRightBrace,
            TokRightBracket, TokRightParen, TokString, TokTrue, TokUint,
        };
        self.previous.is_some_and(|kind| {
            matches!(
                kind,
                TokBytes
                    | TokFalse
                    | TokFloat
                    | TokIdent
                    | TokInt
                    | TokNull
                    | TokReservedWord
                    | TokRightBrace
                    | TokRightBracket
                    | TokRightParen
                    | TokString
                    | TokTrue
                    | TokUint
            )
        })
    }

    fn sign(&mut self) {
        self.signs += 1;
        self.inner += 1;
        self.depth += 1;
    }

    fn open_ternary(&mut self) {
        self.end_signs();
        self.inner += 1;
        self.depth += 1;
    }

    /// Signs reach to the end of their operand; ternaries to the end of their bracket.
    fn end_signs(&mut self) {
        self.inner -= self.signs;
        self.depth -= self.signs;
        self.signs = 0;
    }

    /// A bracket that was never opened is left to the parser.
    fn close(&mut self) {
        if let Some((inner, signs)) = self.outer.pop() {
            self.depth -= self.inner + 1;
            (self.inner, self.signs) = (inner, signs);
            self.end_signs();
        }
    }
}

//! Owns documents of every store, some written by hand for what is hard in them, others random.

use proptest::prelude::{Just, Strategy, any, prop_oneof};
use proptest::sample::select;

/// Creation rules: each way in which sops seals a part of a document.
pub(crate) const RULES: [&str; 9] = [
    "",
    "unencrypted_suffix: _clear",
    "encrypted_suffix: _enc",
    "unencrypted_regex: '^[a-f]'",
    "encrypted_regex: '^\\w_|b'",
    "unencrypted_comment_regex: clear",
    "encrypted_comment_regex: 'sops:enc'",
    "mac_only_encrypted: true",
    "mac_only_encrypted: true\n    encrypted_regex: '^[a-f]'",
];

pub(crate) const YAML: &str = r#"# doc head

# head a
a: # behind key a
    # head b
    b: 1 # inline b
    # foot b

    c:
        - x # inline x
        # head y
        - y
        # foot y
    # foot c
    d: [1, 2] # behind flow
# sops:enc, head e
e:
    # first in list
    - k: v
      # in map
      l: w
    -   # after dash
      m: 1
    - - nested
      # in nested
      - n2
f: | # header
    text
# clear
g: {p: 1, q: [x, "y z"]} # gg
h: "multi

  line" # hh
# foot h

i: "a\n\n"
i_enc: " lead"
i_clear: "\n lead"
j: "tab\there"
k: 'it''s #x'
l: "😀"
m: !!binary aGVsbG8=
n: 0x1F
o: 2001-12-14
p: 1e10
q: .inf
r: -.5
s: ~
t: ""
u: 0777
v: yes
"long key aaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaa": {x: 1}
"multi\nline": [2]
w: &anc {x: 1, y: [a]}
x: *anc
y:
    - *anc
    - []
    - {}
    - null
z: !foo bar
# tail
---
# second
x: 1
# foot second
---
a:
- b # x
# dedent
- c
# y
d:
    e: 1
  # mid
f: 1

# alone

# g head
g: 2
h:
# zero
  i: 1
"#;

pub(crate) const DOTENV: &str = "# a comment\nA=1\nB_enc=two words \nb=\"quoted\"\nC=a=b\nD=line\\nbreak\n# clear: next\nE_clear=\n#\n# sops:enc\nF=x\n";

pub(crate) const INI: &str = "global = 1\n\n; about one\n[one]\n; clear\nk = v\nb_enc = \"quoted value\"\nm = a # trailing\nt = \"\"\"multi\nline\"\"\"\ne =\n# sops:enc\nlast = x\n[two_clear]\nx = %(k)s\n";

pub(crate) const JSON: &str =
    r#"{"a": "x", "b_enc": [1, {"c": true, "d": 2.5}, [], null], "e_clear": {"f": ""}, "g": 12345678901234}"#;

/// A random document in YAML, with comments wherever they can be.
pub(crate) fn yaml() -> impl Strategy<Value = String> {
    proptest::collection::vec(entry(tree()), 1..6).prop_map(|entries| {
        let mut text = String::new();
        render(&Tree::Map(entries), 0, &mut text);
        // Comments at the very end, below maps of several depths, sops puts into another order.
        text.push_str("last: always\n");
        text
    })
}

#[derive(Debug, Clone)]
enum Tree {
    Scalar(String),
    Map(Vec<Entry>),
    List(Vec<Entry>),
}

#[derive(Debug, Clone)]
struct Entry {
    /// What a key ends with.
    suffix: &'static str,
    value: Tree,
    above: Option<&'static str>,
    behind: Option<&'static str>,
    /// A comment after it, and whether a line is free below that.
    below: Option<(&'static str, bool)>,
}

fn comment() -> impl Strategy<Value = Option<&'static str>> {
    select(vec![
        None,
        None,
        None,
        None,
        Some(" note"),
        Some(" sops:enc"),
        Some(" clear"),
        Some("x # y"),
    ])
}

fn entry(value: impl Strategy<Value = Tree>) -> impl Strategy<Value = Entry> {
    let suffix = select(vec!["", "", "_enc", "_clear", "_unencrypted"]);
    (suffix, value, comment(), comment(), comment(), any::<bool>()).prop_map(
        |(suffix, value, above, behind, below, free)| Entry {
            suffix,
            value,
            above,
            behind,
            below: below.map(|comment| (comment, free)),
        },
    )
}

fn tree() -> impl Strategy<Value = Tree> {
    let plain = select(vec![
        "word",
        "two words",
        "1",
        "-17",
        "0x1F",
        "0o17",
        "017",
        "1_000",
        "1e3",
        ".5",
        "2.50",
        "true",
        "False",
        "yes",
        "null",
        "~",
        "2001-12-14",
        "2001-12-14t21:59:43.10-05:00",
        "12:30:45",
        "''",
        "'it''s'",
        "\"\\t\\u00e9\"",
        "[]",
        "{}",
        "[a, 'b c', 3]",
        "{p: 1, q: [x]}",
        "!!str 1",
        "!!binary aGVsbG8=",
        "a#b",
        "a: b: c",
    ]);
    // A text of lines that begins with a space sops writes into a list so that nobody can read it.
    let quoted = prop_oneof!["[ -~]{0,12}", "[a-z][a-z \n]{0,9}"]
        .prop_map(|text| serde_json::to_string(&text).unwrap());
    let scalar = prop_oneof![
        3 => plain.prop_filter_map("no mapping in a value", |text| {
            (text != "a: b: c").then(|| Tree::Scalar(text.to_owned()))
        }),
        1 => quoted.prop_map(Tree::Scalar),
        1 => any::<u32>().prop_map(|number| Tree::Scalar(number.to_string())),
        1 => Just(Tree::Scalar("|".to_owned())),
    ];
    scalar.prop_recursive(3, 16, 4, |inner| {
        prop_oneof![
            proptest::collection::vec(entry(inner.clone()), 1..4).prop_map(Tree::Map),
            proptest::collection::vec(entry(inner), 1..4).prop_map(Tree::List),
        ]
    })
}

fn render(tree: &Tree, indent: usize, text: &mut String) {
    let pad = " ".repeat(indent);
    let (entries, is_map) = match tree {
        Tree::Scalar(_) => return,
        Tree::Map(entries) => (entries, true),
        Tree::List(entries) => (entries, false),
    };
    for (index, entry) in entries.iter().enumerate() {
        if let Some(comment) = entry.above {
            text.push_str(&format!("{pad}#{comment}\n"));
        }
        if is_map {
            text.push_str(&format!("{pad}k{index}{}:", entry.suffix));
        } else {
            text.push_str(&format!("{pad}-"));
        }
        if let Tree::Scalar(scalar) = &entry.value {
            text.push_str(&format!(" {scalar}"));
        }
        // Behind a list or map in brackets sops moves it to another value, behind a mere dash it drops it.
        let in_brackets = match &entry.value {
            Tree::Scalar(scalar) => scalar.starts_with(['[', '{']),
            Tree::Map(_) | Tree::List(_) => !is_map,
        };
        if let Some(comment) = entry.behind
            && !in_brackets
        {
            text.push_str(&format!(" #{comment}"));
        }
        text.push('\n');
        if matches!(&entry.value, Tree::Scalar(scalar) if scalar == "|") {
            text.push_str(&format!("{pad}  some\n{pad}    lines\n"));
        }
        render(&entry.value, indent + 2, text);
        // Below several maps that end at once sops takes it for the innermost one's, or not.
        if let Some((comment, free)) = entry.below
            && matches!(entry.value, Tree::Scalar(_))
        {
            text.push_str(&format!("{pad}#{comment}\n{}", if free { "\n" } else { "" }));
        }
    }
}

/// A random dotenv file.
pub(crate) fn dotenv() -> impl Strategy<Value = String> {
    let line = prop_oneof![
        4 => ("[a-zA-Z_]{1,6}(_enc|_clear)?", "[ -~\u{e9}]{0,12}").prop_map(|(key, value)| (key, Some(value))),
        1 => "[ -~]{0,8}( sops:enc| clear)?".prop_map(|comment| (comment, None)),
    ];
    proptest::collection::vec(line, 1..8).prop_map(|lines| {
        let lines = lines
            .iter()
            .enumerate()
            .map(|(index, (name, value))| match value {
                // sops takes what begins so for its own.
                Some(value) => format!("k{index}{name}={value}\n"),
                None => format!("#{name}\n"),
            });
        lines.collect()
    })
}

/// A random INI file, without the quotes and backslashes that sops writes so that it reads something else.
pub(crate) fn ini() -> impl Strategy<Value = String> {
    let value = prop_oneof![
        "[a-z ]{0,8}",
        r"`[ !#-&(-\[\]-_a-~]{0,8}`",
        "\"\"\"[a-z\n#;=]{1,8}\"\"\"",
        "'[a-z ]{0,5}'",
        r"[!#-&(-\[\]-_a-~]{0,8}"
    ];
    let comment = select(vec!["", "", "", "; clear\n", "# sops:enc\n", "; two\n; lines\n"]);
    let key = (comment.clone(), "[a-z]{1,4}(_enc|_clear)?", value);
    let section = (comment, "[a-z]{1,4}", proptest::collection::vec(key, 0..4));
    proptest::collection::vec(section, 1..4).prop_map(|sections| {
        let mut text = String::new();
        for (number, (comment, name, keys)) in sections.iter().enumerate() {
            text.push_str(&format!("{comment}[{name}{number}]\n"));
            for (number, (comment, key, value)) in keys.iter().enumerate() {
                text.push_str(&format!("{comment}k{number}{key} = {value}\n"));
            }
        }
        text
    })
}

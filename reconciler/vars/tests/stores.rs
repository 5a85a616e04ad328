//! Every store, sealed by real sops and opened here: what comes out is byte for byte what sops itself prints.
#![allow(
    clippy::unwrap_used,
    clippy::panic,
    clippy::indexing_slicing,
    reason = "a test's own helpers may fail loudly"
)]

mod support;

use reconciler_vars::{Format, decrypt};
use support::lab::Lab;

const RULES: [&str; 9] = [
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

const YAML: &str = r#"# doc head

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

const DOTENV: &str = "# a comment\nA=1\nB_enc=two words \nb=\"quoted\"\nC=a=b\nD=line\\nbreak\n# clear: next\nE_clear=\n#\n# sops:enc\nF=x\n";

const INI: &str = "global = 1\n\n; about one\n[one]\n; clear\nk = v\nb_enc = \"quoted value\"\nm = a # trailing\nt = \"\"\"multi\nline\"\"\"\ne =\n# sops:enc\nlast = x\n[two_clear]\nx = %(k)s\n";

const JSON: &str =
    r#"{"a": "x", "b_enc": [1, {"c": true, "d": 2.5}, [], null], "e_clear": {"f": ""}, "g": 12345678901234}"#;

/// The first line that differs is easier to read than all of both.
fn same(ours: &[u8], theirs: &[u8], of: &str) {
    let (ours, theirs) = (String::from_utf8_lossy(ours), String::from_utf8_lossy(theirs));
    for (number, (ours, theirs)) in ours.lines().zip(theirs.lines()).enumerate() {
        assert_eq!(ours, theirs, "{of}: line {}", number + 1);
    }
    assert_eq!(ours, theirs, "{of}");
}

#[test]
fn whatever_sops_seals_opens_to_what_sops_prints() {
    let lab = Lab::new();
    let age = format!("age: {}", lab.age_key("machine"));
    let identities = lab.age_identity("machine");
    for (format, plain) in [
        (Format::Yaml, YAML),
        (Format::Dotenv, DOTENV),
        (Format::Ini, INI),
        (Format::Json, JSON),
    ] {
        for rule in RULES {
            let sealed = lab.seal_as(plain.as_bytes(), format.name(), &[&age, rule]);
            let expected = lab.open_as(&sealed, format.name());
            let opened = decrypt(&sealed, format, &identities)
                .unwrap_or_else(|error| panic!("{format} {rule}: {error}"));
            same(
                &opened.into_bytes().unwrap(),
                &expected,
                &format!("{format} {rule}"),
            );
        }
    }
}

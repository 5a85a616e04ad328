//! What is encoded is read back, in whatever pieces it comes.

use proptest::prelude::{Strategy, any, prop_assert_eq, proptest};
use tokio::io::AsyncWriteExt;

use crate::read::Reader;
use crate::write::Encoder;

#[derive(Debug, Clone, PartialEq)]
enum Value {
    Number(u64),
    Flag(bool),
    Bytes(Vec<u8>),
    Texts(Vec<String>),
}

fn value() -> impl Strategy<Value = Value> {
    proptest::prop_oneof![
        any::<u64>().prop_map(Value::Number),
        any::<bool>().prop_map(Value::Flag),
        proptest::collection::vec(any::<u8>(), 0..40).prop_map(Value::Bytes),
        proptest::collection::btree_set("[a-z]{0,12}", 0..6)
            .prop_map(|set| Value::Texts(set.into_iter().collect())),
    ]
}

proptest! {
    #[test]
    fn values_round_trip(values in proptest::collection::vec(value(), 0..20), pipe in 1_usize..64) {
        let mut out = Encoder::default();
        for value in &values {
            match value {
                Value::Number(number) => out.u64(*number),
                Value::Flag(flag) => out.flag(*flag),
                Value::Bytes(bytes) => out.bytes(bytes),
                Value::Texts(texts) => out.texts(texts.iter()),
            }
        }
        prop_assert_eq!(out.as_slice().len() % 8, 0);
        let runtime = tokio::runtime::Builder::new_current_thread().build().unwrap();
        let read = runtime.block_on(async {
            let (ours, mut theirs) = tokio::io::duplex(pipe);
            let writing = async {
                theirs.write_all(out.as_slice()).await.unwrap();
                drop(theirs);
            };
            let reading = async {
                let mut reader = Reader::new(Box::new(ours));
                let mut read = Vec::new();
                for value in &values {
                    read.push(match value {
                        Value::Number(_) => Value::Number(reader.u64().await.unwrap()),
                        Value::Flag(_) => Value::Flag(reader.flag().await.unwrap()),
                        Value::Bytes(_) => Value::Bytes(reader.bytes().await.unwrap()),
                        Value::Texts(_) => Value::Texts(reader.strings().await.unwrap().into_iter().collect()),
                    });
                }
                assert!(reader.u64().await.is_err(), "nothing is left");
                read
            };
            tokio::join!(writing, reading).1
        });
        prop_assert_eq!(read, values);
    }
}

//! Tables and properties of the graph and the plan; the cases 13 to 16 are clan's own.

use std::collections::{BTreeMap, BTreeSet};

use proptest::prelude::*;

use super::super::definition::{DefaultReaders, FleetGenerators, GeneratedFile, Generator};
use super::super::graph::{Graph, GraphProblem};
use super::*;

fn generator(dependencies: &[&str]) -> Generator {
    Generator {
        dependencies: dependencies.iter().map(ToString::to_string).collect(),
        files: BTreeMap::from([("f".to_owned(), GeneratedFile::default())]),
        scripted: true,
        ..Generator::default()
    }
}

fn shared(dependencies: &[&str]) -> Generator {
    Generator {
        share: true,
        ..generator(dependencies)
    }
}

fn fleet(machines: &[(&str, &[(&str, Generator)])]) -> FleetGenerators {
    let machines = machines.iter().map(|(machine, generators)| {
        let generators = generators
            .iter()
            .map(|(name, generator)| ((*name).to_owned(), generator.clone()));
        ((*machine).to_owned(), generators.collect())
    });
    FleetGenerators {
        store_dir: "/nix/store".to_owned(),
        readers: DefaultReaders::default(),
        machines: machines.collect(),
    }
}

/// Everything is there but the named ones.
fn present(graph: &Graph, missing: &[&str]) -> BTreeMap<GeneratorId, Present> {
    let facts = graph.iter().map(|(id, _)| {
        let gone = missing.contains(&id.to_string().as_str());
        let present = Present {
            missing: if gone { vec!["f".to_owned()] } else { Vec::new() },
            ..Present::default()
        };
        (id.clone(), present)
    });
    facts.collect()
}

fn planned(fleet: &FleetGenerators, missing: &[&str], request: &Request) -> Vec<String> {
    let graph = Graph::new(fleet).unwrap();
    let machines: Vec<_> = fleet.machines.keys().cloned().collect();
    let runs = plan(&graph, &machines, &present(&graph, missing), request).unwrap();
    runs.iter().map(|run| run.id.to_string()).collect()
}

fn request(generators: &[&str], wanted: Wanted) -> Request {
    Request {
        generators: generators.iter().map(ToString::to_string).collect(),
        wanted,
        ..Request::default()
    }
}

#[test]
fn missing_ones_run_with_what_depends_on_them() {
    let fleet = fleet(&[(
        "m",
        &[
            ("1", generator(&[])),
            ("2", generator(&["1"])),
            ("2a", generator(&["2"])),
            ("2b", generator(&["2"])),
        ],
    )]);
    let missing = ["2 (m)", "2a (m)"];
    assert_eq!(
        planned(&fleet, &missing, &Request::default()),
        ["2 (m)", "2a (m)", "2b (m)"]
    );
    assert_eq!(
        planned(&fleet, &missing, &request(&["1"], Wanted::Everything)),
        ["1 (m)", "2 (m)", "2a (m)", "2b (m)"]
    );
    // One that is there and asked for without force stays as it is.
    assert!(planned(&fleet, &missing, &request(&["1"], Wanted::Missing)).is_empty());
    assert!(planned(&fleet, &[], &Request::default()).is_empty());
    // A missing dependency comes first.
    assert_eq!(
        planned(&fleet, &["1 (m)", "2 (m)"], &request(&["2a"], Wanted::Everything)),
        ["1 (m)", "2 (m)", "2a (m)", "2b (m)"]
    );
}

#[test]
fn a_missing_shared_one_takes_dependents_on_all_machines() {
    let generators: &[(&str, Generator)] = &[("ca", shared(&[])), ("cert", generator(&["ca"]))];
    let fleet = fleet(&[("one", generators), ("two", generators)]);
    let only_one = Request {
        machines: BTreeSet::from(["one".to_owned()]),
        ..Request::default()
    };
    assert_eq!(
        planned(&fleet, &["ca (shared)"], &only_one),
        ["ca (shared)", "cert (one)", "cert (two)"]
    );
    assert_eq!(
        planned(&fleet, &["cert (one)", "cert (two)"], &only_one),
        ["cert (one)"]
    );
}

#[test]
fn what_is_wrong_is_named_all_at_once() {
    let fleet = fleet(&[
        (
            "m",
            &[
                ("a", generator(&["b"])),
                ("b", generator(&["c"])),
                ("c", generator(&["a"])),
                ("lost", generator(&["gone"])),
                ("s", shared(&["a"])),
                ("t", shared(&[])),
            ],
        ),
        (
            "n",
            &[(
                "t",
                Generator {
                    validation_hash: Some("x".to_owned()),
                    ..shared(&[])
                },
            )],
        ),
    ]);
    let problems = Graph::new(&fleet).unwrap_err();
    let text: Vec<_> = problems.0.iter().map(ToString::to_string).collect();
    assert_eq!(
        text,
        [
            "generator lost (m) depends on `gone`, which m does not declare",
            "generator s (shared) depends on `a`, which is not shared: the values of one machine cannot make those of all",
            "machines m and n declare the shared generator `t` differently: validation",
            "generators depend on each other: a (m) → b (m) → c (m) → a (m)",
        ]
    );
}

#[test]
fn names_stay_in_their_folders() {
    for fleet in [
        fleet(&[("../m", &[("g", generator(&[]))])]),
        fleet(&[("m", &[("a/b", generator(&[]))])]),
        fleet(&[(
            "m",
            &[(
                "g",
                Generator {
                    files: BTreeMap::from([("..".to_owned(), GeneratedFile::default())]),
                    ..generator(&[])
                },
            )],
        )]),
    ] {
        let problems = Graph::new(&fleet).unwrap_err();
        assert!(
            matches!(problems.0.as_slice(), [GraphProblem::Name(_)]),
            "{problems}"
        );
    }
}

#[test]
fn unknown_names_and_generators_without_a_script_are_refused() {
    let fleet = fleet(&[(
        "m",
        &[(
            "g",
            Generator {
                scripted: false,
                ..generator(&[])
            },
        )],
    )]);
    let graph = Graph::new(&fleet).unwrap();
    let there = present(&graph, &["g (m)"]);
    let machines = ["m".to_owned()];
    let unknown = Request {
        machines: BTreeSet::from(["n".to_owned()]),
        ..Request::default()
    };
    let error = plan(&graph, &machines, &there, &unknown).unwrap_err();
    assert_eq!(error.to_string(), "the fleet has no machine `n`; it has m");
    let error = plan(&graph, &machines, &there, &request(&["h"], Wanted::Missing)).unwrap_err();
    assert_eq!(error.to_string(), "no generator `h` is declared; there are g");
    let error = plan(&graph, &machines, &there, &Request::default()).unwrap_err();
    assert_eq!(
        error.to_string(),
        "nothing makes g (m): it has no script, and a file that no prompt answers (missing: f)"
    );
}

#[test]
fn hashes_decide_as_clan_says() {
    let folder = tempfile::tempdir().unwrap();
    let tree = crate::tree::DirectoryTree::new(folder.path());
    for (stored, wanted, stale) in [
        (None, None, false),
        (None, Some("h"), true),
        (Some("h"), Some("h"), false),
        (Some("h"), Some("i"), true),
        (Some("h"), None, true),
    ] {
        let fleet = fleet(&[(
            "m",
            &[(
                "g",
                Generator {
                    validation_hash: wanted.map(str::to_owned),
                    ..generator(&[])
                },
            )],
        )]);
        let place = folder.path().join("vars/per-machine/m/g");
        std::fs::create_dir_all(place.join("f")).unwrap();
        for (name, content) in [(".validation-hash", stored), ("f/secret", Some("x"))] {
            let _ = std::fs::remove_file(place.join(name));
            if let Some(content) = content {
                std::fs::OpenOptions::new()
                    .write(true)
                    .create(true)
                    .truncate(true)
                    .open(place.join(name))
                    .and_then(|mut file| std::io::Write::write_all(&mut file, content.as_bytes()))
                    .unwrap();
            }
        }
        let graph = Graph::new(&fleet).unwrap();
        let found = super::super::survey::survey(&tree, &graph).unwrap();
        let found = &found[&GeneratorId::of_machine("m", "g")];
        assert_eq!(
            (found.stale, found.missing.len()),
            (stale, 0),
            "{stored:?} {wanted:?}"
        );
    }
}

/// A fleet of two machines whose generators depend on earlier ones only, and which of them are missing.
fn fleets() -> impl Strategy<Value = (FleetGenerators, Vec<bool>)> {
    let one = (any::<bool>(), proptest::collection::vec(any::<bool>(), 8));
    let generators = proptest::collection::vec(one, 1..8);
    (generators, proptest::collection::vec(any::<bool>(), 16)).prop_map(|(specs, missing)| {
        let mut generators: Vec<(String, Generator)> = Vec::new();
        for (index, (share, edges)) in specs.iter().enumerate() {
            let dependencies: Vec<String> = generators
                .iter()
                .zip(edges)
                // A shared one may depend on shared ones alone.
                .filter(|((_, earlier), chosen)| **chosen && (!share || earlier.share))
                .map(|((name, _), _)| name.clone())
                .collect();
            let made = Generator {
                share: *share,
                dependencies,
                ..generator(&[])
            };
            // Names in the reverse order, so that the order of names is no help.
            generators.push((format!("g{}", 9 - index), made));
        }
        let of_machine: BTreeMap<_, _> = generators.into_iter().collect();
        let machines = BTreeMap::from([("a".to_owned(), of_machine.clone()), ("b".to_owned(), of_machine)]);
        let fleet = FleetGenerators {
            store_dir: "/nix/store".to_owned(),
            readers: DefaultReaders::default(),
            machines,
        };
        (fleet, missing)
    })
}

proptest! {
    #[test]
    fn a_plan_is_ordered_closed_and_no_larger_than_it_must_be((fleet, gone) in fleets()) {
        let graph = Graph::new(&fleet).unwrap();
        let mut gone = gone.into_iter().cycle();
        let present: BTreeMap<_, _> = graph
            .iter()
            .map(|(id, _)| {
                let missing = if gone.next().unwrap() { vec!["f".to_owned()] } else { Vec::new() };
                (id.clone(), Present { missing, ..Present::default() })
            })
            .collect();
        let machines: Vec<_> = fleet.machines.keys().cloned().collect();
        let runs = plan(&graph, &machines, &present, &Request::default()).unwrap();
        let order: Vec<_> = runs.iter().map(|run| run.id.clone()).collect();
        let chosen: BTreeSet<_> = order.iter().cloned().collect();
        prop_assert_eq!(chosen.len(), order.len());
        for (index, id) in order.iter().enumerate() {
            let node = graph.get(id).unwrap();
            // What it depends on was made before, or is there.
            for dependency in &node.dependencies {
                let before = order.iter().take(index).any(|earlier| earlier == dependency);
                prop_assert!(before || (!chosen.contains(dependency) && present[dependency].missing.is_empty()));
            }
            // It runs for a reason.
            let depends = node.dependencies.iter().any(|dependency| chosen.contains(dependency));
            prop_assert!(depends || !present[id].missing.is_empty());
        }
        for (id, node) in graph.iter() {
            let depends = node.dependencies.iter().any(|dependency| chosen.contains(dependency));
            let gone = !present[id].missing.is_empty();
            prop_assert!(chosen.contains(id) == (depends || gone));
        }
    }
}

//! The generators of a fleet: their graph has no way around, and a plan makes each after what it depends on.
#![no_main]

use std::collections::{BTreeMap, BTreeSet};

use reconciler_vars::generators::{FleetGenerators, Graph, Request, Wanted, plan};

libfuzzer_sys::fuzz_target!(|bytes: &[u8]| {
    let Ok(fleet) = serde_json::from_slice::<FleetGenerators>(bytes) else {
        return;
    };
    let graph = match Graph::new(&fleet) {
        Ok(graph) => graph,
        Err(problems) => {
            assert!(!problems.0.is_empty() && !problems.to_string().is_empty());
            return;
        }
    };
    for (id, node) in graph.iter() {
        let folder = id.folder();
        assert!(
            folder.starts_with("vars/") && !folder.split('/').any(|part| matches!(part, "" | "." | "..")),
            "{folder}"
        );
        assert!(!node.machines.is_empty());
        assert!(
            node.dependencies
                .iter()
                .all(|dependency| graph.get(dependency).is_some())
        );
    }
    let machines: Vec<String> = fleet.machines.keys().cloned().collect();
    let request = Request {
        wanted: Wanted::Everything,
        ..Request::default()
    };
    if let Ok(runs) = plan(&graph, &machines, &BTreeMap::new(), &request) {
        let mut done = BTreeSet::new();
        for run in runs {
            let node = graph.get(&run.id).expect("what runs is in the graph");
            assert!(
                node.dependencies.is_subset(&done),
                "{} runs before what it depends on",
                run.id
            );
            assert!(done.insert(run.id));
        }
        assert_eq!(done.len(), graph.iter().count());
    }
});

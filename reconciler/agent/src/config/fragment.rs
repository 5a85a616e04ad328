//! One configuration file as it is written: every key optional, unknown keys refused.
//!
//! No defaults and no checks of meaning: those belong to [`super::Settings`].

use serde::Deserialize;

/// What one file says.
#[derive(Debug, Clone, Default, PartialEq, Deserialize)]
#[serde(deny_unknown_fields)]
pub struct Fragment {
    pub(super) machine: Option<String>,
    pub(super) fleet: Option<FleetFragment>,
    pub(super) trust: Option<TrustFragment>,
    pub(super) identity: Option<IdentityFragment>,
    pub(super) paths: Option<PathsFragment>,
    pub(super) nix: Option<NixFragment>,
    pub(super) policy: Option<reconciler_policies::Fragment>,
    /// The policies of the fragments that this one was laid upon, oldest first.
    #[serde(skip)]
    pub(super) policies_below: Vec<reconciler_policies::Fragment>,
}

#[derive(Debug, Clone, Default, PartialEq, Deserialize)]
#[serde(deny_unknown_fields)]
pub(super) struct FleetFragment {
    pub(super) url: Option<Urls>,
    pub(super) branch: Option<String>,
    pub(super) directory: Option<String>,
    pub(super) poll: Option<String>,
    pub(super) token_file: Option<String>,
    pub(super) netrc: Option<String>,
    pub(super) ssh_key: Option<String>,
    pub(super) ssh_agent: Option<bool>,
    pub(super) known_hosts: Option<Vec<String>>,
    pub(super) timeout: Option<String>,
}

#[derive(Debug, Clone, Default, PartialEq, Deserialize)]
#[serde(deny_unknown_fields)]
pub(super) struct TrustFragment {
    pub(super) commits: Option<String>,
    pub(super) allowed_signers: Option<String>,
    pub(super) history: Option<String>,
}

#[derive(Debug, Clone, Default, PartialEq, Deserialize)]
#[serde(deny_unknown_fields)]
pub(super) struct IdentityFragment {
    pub(super) ssh_host_keys: Option<Vec<String>>,
    pub(super) age_keys: Option<Vec<String>>,
    pub(super) plugin_folders: Option<Vec<String>>,
}

#[derive(Debug, Clone, Default, PartialEq, Deserialize)]
#[serde(deny_unknown_fields)]
pub(super) struct PathsFragment {
    pub(super) root: Option<String>,
    pub(super) state: Option<String>,
    pub(super) run: Option<String>,
    pub(super) secrets: Option<String>,
    pub(super) profile: Option<String>,
}

#[derive(Debug, Clone, Default, PartialEq, Deserialize)]
#[serde(deny_unknown_fields)]
pub(super) struct NixFragment {
    pub(super) daemon: Option<String>,
    pub(super) store: Option<String>,
    pub(super) state: Option<String>,
    pub(super) evaluator_user: Option<String>,
    pub(super) evaluate: Option<String>,
    pub(super) import_from_derivation: Option<bool>,
    pub(super) access_tokens_file: Option<String>,
    pub(super) netrc: Option<String>,
    pub(super) ssh_key: Option<String>,
}

/// `url = "…"` or `url = ["…", "…"]`.
#[derive(Debug, Clone, PartialEq)]
pub(super) struct Urls(pub(super) Vec<String>);

impl<'de> Deserialize<'de> for Urls {
    fn deserialize<D: serde::Deserializer<'de>>(deserializer: D) -> Result<Self, D::Error> {
        struct Visitor;
        impl<'de> serde::de::Visitor<'de> for Visitor {
            type Value = Urls;
            fn expecting(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
                f.write_str("a URL or a list of URLs")
            }
            fn visit_str<E>(self, url: &str) -> Result<Urls, E> {
                Ok(Urls(vec![url.to_owned()]))
            }
            fn visit_seq<A: serde::de::SeqAccess<'de>>(self, mut list: A) -> Result<Urls, A::Error> {
                let mut urls = Vec::new();
                while let Some(url) = list.next_element()? {
                    urls.push(url);
                }
                Ok(Urls(urls))
            }
        }
        deserializer.deserialize_any(Visitor)
    }
}

/// Lays `over` upon `under`: a key that both set is taken from `over`.
macro_rules! overlay {
    ($under:expr, $over:expr, $($field:ident),+ $(,)?) => {{
        let (under, over) = ($under.unwrap_or_default(), $over.unwrap_or_default());
        Some(overlay!(@struct under, over, $($field),+))
    }};
    (@struct $under:ident, $over:ident, $($field:ident),+) => {{
        let mut merged = $under;
        $( merged.$field = $over.$field.or(merged.$field); )+
        merged
    }};
}

impl Fragment {
    /// This fragment with everything that `over` sets laid upon it.
    #[must_use]
    pub fn overlaid(self, over: Fragment) -> Fragment {
        Fragment {
            machine: over.machine.or(self.machine),
            fleet: overlay!(
                self.fleet,
                over.fleet,
                url,
                branch,
                directory,
                poll,
                token_file,
                netrc,
                ssh_key,
                ssh_agent,
                known_hosts,
                timeout
            ),
            trust: overlay!(self.trust, over.trust, commits, allowed_signers, history),
            identity: overlay!(
                self.identity,
                over.identity,
                ssh_host_keys,
                age_keys,
                plugin_folders
            ),
            paths: overlay!(self.paths, over.paths, root, state, run, secrets, profile),
            nix: overlay!(
                self.nix,
                over.nix,
                daemon,
                store,
                state,
                evaluator_user,
                evaluate,
                import_from_derivation,
                access_tokens_file,
                netrc,
                ssh_key
            ),
            policies_below: self.policies_below.into_iter().chain(self.policy).collect(),
            policy: over.policy,
        }
    }

    /// The local policies, in the order in which they are merged.
    pub(super) fn policies(&mut self) -> Vec<reconciler_policies::Fragment> {
        std::mem::take(&mut self.policies_below)
            .into_iter()
            .chain(self.policy.take())
            .collect()
    }
}

//! Disruption budgets that pods share, where these credentials may read them: a kubelet's may not.

use crate::kubernetes::Budget;
use crate::objects::{Pod, Refusal};

/// The budgets, and what was taken from each.
#[derive(Debug, Default)]
pub struct Budgets(Option<Vec<(Budget, u32)>>);

impl Budgets {
    /// `None`: they may not be read.
    pub fn new(budgets: Option<Vec<Budget>>) -> Budgets {
        Budgets(budgets.map(|budgets| budgets.into_iter().map(|budget| (budget, 0)).collect()))
    }

    pub fn known(&self) -> bool {
        self.0.is_some()
    }

    /// A dry run has let this pod go. Takes it from its budget; the refusal, if others have used that up before.
    ///
    /// Where the budget allowed nothing from the start, the pod is one that it lets go all the same, as it is not
    /// healthy (kubernetes/kubernetes `pkg/registry/core/pod/storage/eviction.go`).
    pub fn take(&mut self, pod: &Pod) -> Option<Refusal> {
        let budgets = self.0.as_mut()?;
        let (budget, taken) = budgets.iter_mut().find(|(budget, _)| budget.covers(&pod.id.namespace, &pod.labels))?;
        if *taken < budget.allowed {
            *taken += 1;
            return None;
        }
        (budget.allowed > 0).then(|| Refusal {
            status: 429,
            message: format!("the budget {} allows {} now, and others went before", budget.name, budget.allowed),
            causes: vec!["DisruptionBudget".to_owned()],
            retry_after: None,
        })
    }
}

#[cfg(test)]
mod tests {
    use std::time::Duration;

    use super::*;
    use crate::objects::PodId;

    fn pod(name: &str, app: &str) -> Pod {
        Pod {
            id: PodId { namespace: "web".into(), name: name.into(), uid: name.into() },
            priority: 0,
            grace: Duration::from_secs(30),
            labels: [("app".to_owned(), app.to_owned())].into(),
            mirror: false,
            daemon_set: false,
            finished: false,
            stopping: false,
            cut: false,
            claims: Vec::new(),
            bare: false,
            local_data: false,
        }
    }

    fn budgets(allowed: u32) -> Budgets {
        let budget = |app: &str| {
            let item = serde_json::json!({"items": [{
                "metadata": {"namespace": "web", "name": app}, "status": {"disruptionsAllowed": allowed},
                "spec": {"selector": {"matchLabels": {"app": app}}},
            }]});
            Vec::<Budget>::from(serde_json::from_value::<crate::kubernetes::read::Budgets>(item).unwrap()).remove(0)
        };
        Budgets::new(Some(vec![budget("api"), budget("db")]))
    }

    #[test]
    fn a_budget_lets_go_as_many_as_it_allows_and_no_other_pods_count() {
        let mut budgets = budgets(2);
        let taken = |budgets: &mut Budgets, app: &str| budgets.take(&pod("p", app)).map(|refusal| refusal.status);
        let asked = ["api", "free", "api", "api", "db"].map(|app| taken(&mut budgets, app));
        assert_eq!(asked, [None, None, None, Some(429), None]);
    }

    #[test]
    fn a_pod_that_a_closed_budget_lets_go_all_the_same_is_let_go() {
        assert_eq!(budgets(0).take(&pod("sick", "api")), None);
        assert_eq!(Budgets::new(None).take(&pod("p", "api")), None);
    }
}

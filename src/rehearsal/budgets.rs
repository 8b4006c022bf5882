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

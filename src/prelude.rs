//! What a notebook or a program of a few lines needs.

pub use crate::{
    Error, Result,
    circuits::{
        Circuit, CircuitLayer, Conditionals, Deterministic, Em, EmLearner, FitCircuit, FitReals, Graph, Layout, Leaf,
        Moments, PruneBy, Pruned, RealCircuit, Rule, Structure, SumProduct, Summary, Tree, mutual_information,
    },
    data::{
        Coding, Continuous, Discrete, Images, LabelMaps, MISSING, Oracle, Rows, Schema, Soft, Split, Text, Variable,
        fingerprint, load, open_rows, save_discrete, shipped,
    },
    evidence::{AnyEvidence, Estimate, Evidence, Exact, LowerBound, Space, Unnormalised},
    flows::{FitFlow, Flow, FlowKind, FlowModel},
    notebook::{self, Job, JobHandle, Page},
    plot::{Axis, Diagram, Dots, Figure, Lines, Planes, Series, Table, Tiles, TreeMap},
    random::Seed,
    train::{Checkpoint, Fit, History, Learner, Plan, Progress, Run, quiet, train, watch},
};

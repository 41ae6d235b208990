//! What a struct of tensors tells dfdx about its fields.

/// Lists the fields of a struct for dfdx, in the order and by the names of files. Its last two type parameters are the element
/// type and the device; those before stand in brackets.
///
/// ```text
/// fields! { [D, F,] Coupling[D, F,] { module network, tensor mask: any_shape(false) } what }
/// ```
/// A `module` has fields of its own, a `tensor` says whether it is trained and how it is made anew, a `size` is a number. A last
/// word names the field that is nothing but a type; `checked by` names a constant that refuses sizes when it is computed.
macro_rules! fields {
    ([$($generics:tt)*] $name:ident[$($arguments:tt)*] {
        $($kind:ident $field:ident $(: $options:expr)?),+ $(,)?
    } $($phantom:ident)? $(, checked by $check:ident)?) => {
        impl<$($generics)* E: dfdx::dtypes::Dtype, Dev: dfdx::tensor_ops::Device<E>> dfdx::nn::TensorCollection<E, Dev>
            for $name<$($arguments)* E, Dev>
        {
            type To<E2: dfdx::dtypes::Dtype, Dev2: dfdx::tensor_ops::Device<E2>> = $name<$($arguments)* E2, Dev2>;

            fn iter_tensors<V: dfdx::nn::ModuleVisitor<Self, E, Dev>>(
                visitor: &mut V,
            ) -> Result<Option<Self::To<V::E2, V::D2>>, V::Err> {
                $(let _ = const { Self::$check };)?
                visitor.visit_fields(
                    ($($crate::nn::fields!(@$kind $field $($options)?),)+),
                    |($($field,)+)| $name { $($field,)+ $($phantom: std::marker::PhantomData)? },
                )
            }
        }
    };
    (@module $field:ident) => { Self::module(stringify!($field), |s| &s.$field, |s| &mut s.$field) };
    (@tensor $field:ident $options:expr) => {
        Self::tensor(stringify!($field), |s| &s.$field, |s| &mut s.$field, $options)
    };
    (@size $field:ident) => {
        Self::scalar(stringify!($field), |s| &s.$field, |s| &mut s.$field, dfdx::nn::ScalarOptions::from_default(0))
    };
}
pub(crate) use fields;

"""Types of `keras.Model`, since Keras ships none.

Without them, a type checker takes any name for an attribute of an `FACNN`.
`tests/types_test.py` checks that no public name of `keras.Model` is missing, on
any backend. What users seldom call by hand is `Any`.
"""

import os
from typing import Any
from typing import Literal

class KerasModel:
    def __init__(self, *args: Any, **kwargs: Any) -> None: ...
    def __call__(self, *args: Any, **kwargs: Any) -> Any: ...
    def compile(
        self,
        optimizer: Any = "rmsprop",
        loss: Any = None,
        loss_weights: Any = None,
        metrics: Any = None,
        weighted_metrics: Any = None,
        run_eagerly: bool = False,
        steps_per_execution: int = 1,
        jit_compile: bool | Literal["auto"] = "auto",
        auto_scale_loss: bool = True,
    ) -> None: ...
    def fit(
        self,
        x: Any = None,
        y: Any = None,
        batch_size: int | None = None,
        epochs: int = 1,
        verbose: int | Literal["auto"] = "auto",
        callbacks: Any = None,
        validation_split: float = 0.0,
        validation_data: Any = None,
        shuffle: bool = True,
        class_weight: dict[int, float] | None = None,
        sample_weight: Any = None,
        initial_epoch: int = 0,
        steps_per_epoch: int | None = None,
        validation_steps: int | None = None,
        validation_batch_size: int | None = None,
        validation_freq: int = 1,
    ) -> Any: ...
    def evaluate(
        self,
        x: Any = None,
        y: Any = None,
        batch_size: int | None = None,
        verbose: int | Literal["auto"] = "auto",
        sample_weight: Any = None,
        steps: int | None = None,
        callbacks: Any = None,
        return_dict: bool = False,
        **kwargs: Any,
    ) -> Any: ...
    def predict(
        self,
        x: Any,
        batch_size: int | None = None,
        verbose: int | Literal["auto"] = "auto",
        steps: int | None = None,
        callbacks: Any = None,
    ) -> Any: ...
    def save(
        self,
        filepath: str | os.PathLike,
        overwrite: bool = True,
        zipped: bool | None = None,
        **kwargs: Any,
    ) -> None: ...
    def summary(
        self,
        line_length: int | None = None,
        positions: Any = None,
        print_fn: Any = None,
        expand_nested: bool = False,
        show_trainable: bool = False,
        layer_range: Any = None,
    ) -> None: ...
    def get_layer(
        self, name: str | None = None, index: int | None = None
    ) -> Any: ...
    def count_params(self) -> int: ...

    activity_regularizer: Any
    add_loss: Any
    add_metric: Any
    add_variable: Any
    add_weight: Any
    autocast: Any
    build: Any
    build_from_config: Any
    built: bool
    call: Any
    call_signature_parameters: Any
    compile_from_config: Any
    compiled: bool
    compute_dtype: Any
    compute_loss: Any
    compute_mask: Any
    compute_metrics: Any
    compute_output_shape: Any
    compute_output_spec: Any
    dtype: Any
    dtype_policy: Any
    export: Any
    from_config: Any
    get_build_config: Any
    get_compile_config: Any
    get_config: Any
    get_metrics_result: Any
    get_quantization_layer_structure: Any
    get_state_tree: Any
    get_weights: Any
    input: Any
    input_dtype: Any
    input_shape: Any
    input_spec: Any
    inputs: Any
    jit_compile: Any
    layers: list[Any]
    load_own_variables: Any
    load_weights: Any
    loss: Any
    losses: Any
    make_predict_function: Any
    make_test_function: Any
    make_train_function: Any
    metrics: Any
    metrics_names: Any
    metrics_variables: Any
    name: str
    non_trainable_variables: Any
    non_trainable_weights: list[Any]
    operations: Any
    optimizer: Any
    output: Any
    output_names: Any
    output_shape: Any
    outputs: Any
    path: Any
    predict_function: Any
    predict_on_batch: Any
    predict_step: Any
    quantization_mode: Any
    quantize: Any
    quantized_build: Any
    quantized_call: Any
    rematerialized_call: Any
    reset_metrics: Any
    run_eagerly: Any
    save_own_variables: Any
    save_weights: Any
    set_state_tree: Any
    set_weights: Any
    stateless_call: Any
    stateless_compute_loss: Any
    steps_per_execution: Any
    stop_training: bool
    supports_jit: Any
    supports_masking: Any
    symbolic_call: Any
    test_function: Any
    test_on_batch: Any
    test_step: Any
    to_json: Any
    train_function: Any
    train_on_batch: Any
    train_step: Any
    trainable: bool
    trainable_variables: Any
    trainable_weights: list[Any]
    variable_dtype: Any
    variables: list[Any]
    weights: list[Any]

    # On PyTorch, it is a `torch.nn.Module`.
    T_destination: Any
    add_module: Any
    apply: Any
    bfloat16: Any
    buffers: Any
    call_super_init: Any
    children: Any
    cpu: Any
    cuda: Any
    double: Any
    dump_patches: Any
    eval: Any
    extra_repr: Any
    float: Any
    forward: Any
    get_buffer: Any
    get_extra_state: Any
    get_parameter: Any
    get_submodule: Any
    half: Any
    ipu: Any
    load_state_dict: Any
    modules: Any
    mtia: Any
    named_buffers: Any
    named_children: Any
    named_modules: Any
    named_parameters: Any
    parameters: Any
    register_backward_hook: Any
    register_buffer: Any
    register_forward_hook: Any
    register_forward_pre_hook: Any
    register_full_backward_hook: Any
    register_full_backward_pre_hook: Any
    register_load_state_dict_post_hook: Any
    register_load_state_dict_pre_hook: Any
    register_module: Any
    register_parameter: Any
    register_state_dict_post_hook: Any
    register_state_dict_pre_hook: Any
    requires_grad_: Any
    set_extra_state: Any
    set_submodule: Any
    share_memory: Any
    state_dict: Any
    to: Any
    to_empty: Any
    torch_params: Any
    train: Any
    training: Any
    type: Any
    xpu: Any
    zero_grad: Any

    # On JAX.
    compute_loss_and_updates: Any
    jax_state_sync: Any

    # On TensorFlow.
    compiled_loss: Any
    compiled_metrics: Any
    distribute_reduction_method: Any
    distribute_strategy: Any
    unrolled_steps_per_execution: Any

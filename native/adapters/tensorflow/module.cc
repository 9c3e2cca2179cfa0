// The only translation unit that includes TensorFlow's headers: parsing them takes longer than
// everything else in it.

#include <tensorflow/core/framework/op.h>
#include <tensorflow/core/framework/op_kernel.h>
#include <tensorflow/core/framework/shape_inference.h>

#include <initializer_list>

#include "fused.h"
#include "rows.h"

namespace smddp::tf_adapter {
namespace {

using tensorflow::shape_inference::InferenceContext;
using tensorflow::shape_inference::ShapeHandle;

#define SMDDP_REDUCED_TYPES "{half, bfloat16, float, double, int8, uint8, int32, int64}"
#define SMDDP_MOVED_TYPES "{half, bfloat16, float, double, int8, uint8, int32, int64, bool}"
#define SMDDP_REDUCE_OPS "{'sum', 'average', 'min', 'max', 'product'}"

absl::Status same_shapes(InferenceContext* context) {
  for (int i = 0; i < context->num_outputs(); ++i) context->set_output(i, context->input(i));
  return absl::OkStatus();
}

/// Everything but the first dimension is the input's.
absl::Status same_rows(InferenceContext* context) {
  ShapeHandle shape;
  TF_RETURN_IF_ERROR(context->WithRankAtLeast(context->input(0), 1, &shape));
  if (context->RankKnown(shape))
    TF_RETURN_IF_ERROR(context->ReplaceDim(shape, 0, context->UnknownDim(), &shape));
  context->set_output(0, shape);
  for (int i = 1; i < context->num_outputs(); ++i) context->set_output(i, context->input(i));
  return absl::OkStatus();
}

absl::Status no_outputs(InferenceContext*) { return absl::OkStatus(); }

// All are stateful: TensorFlow must not run one while it optimises a graph, drop one whose result
// nobody uses, or let iterations of a loop pass each other, as other ranks would not do the same.
// That ops of a tf.function run one after the other for it is undone by smddp.tensorflow.library:
// gradients are to be reduced while others are still computed.

REGISTER_OP("SmddpAllReduce")
    .Input("tensors: N * T")
    .Output("results: N * T")
    .Attr("N: int >= 1")
    .Attr("T: " SMDDP_REDUCED_TYPES)
    .Attr("reduce_op: " SMDDP_REDUCE_OPS)
    .Attr("key: string")
    .Attr("names: list(string) = []")
    .SetIsStateful()
    .SetShapeFn(same_shapes);

REGISTER_OP("SmddpBroadcast")
    .Input("tensors: N * T")
    .Output("results: N * T")
    .Attr("N: int >= 1")
    .Attr("T: " SMDDP_MOVED_TYPES)
    .Attr("root: int >= 0")
    .Attr("key: string")
    .Attr("names: list(string) = []")
    .SetIsStateful()
    .SetShapeFn(same_shapes);

REGISTER_OP("SmddpAllGather")
    .Input("tensor: T")
    .Output("result: T")
    .Attr("T: " SMDDP_MOVED_TYPES)
    .Attr("key: string")
    .Attr("names: list(string) = []")
    .SetIsStateful()
    .SetShapeFn(same_rows);

REGISTER_OP("SmddpReduceScatter")
    .Input("tensor: T")
    .Output("result: T")
    .Attr("T: " SMDDP_REDUCED_TYPES)
    .Attr("reduce_op: " SMDDP_REDUCE_OPS)
    .Attr("key: string")
    .Attr("names: list(string) = []")
    .SetIsStateful()
    .SetShapeFn(same_rows);

REGISTER_OP("SmddpAllToAll")
    .Input("tensor: T")
    .Input("splits: int32")
    .Output("result: T")
    .Output("received_splits: int32")
    .Attr("T: " SMDDP_MOVED_TYPES)
    .Attr("key: string")
    .Attr("names: list(string) = []")
    .SetIsStateful()
    .SetShapeFn(same_rows);

REGISTER_OP("SmddpBarrier")
    .Attr("key: string")
    .Attr("names: list(string) = []")
    .SetIsStateful()
    .SetShapeFn(no_outputs);

// Never run: its attribute tells Python what this library was built for, before a session or an
// eager context exists.
REGISTER_OP("SmddpBuiltFor")
    .Attr("version: string = '" SMDDP_TENSORFLOW_VERSION "'")
    .SetShapeFn(no_outputs);

#define SMDDP_REGISTER(name, kernel) \
  REGISTER_KERNEL_BUILDER(Name(name).Device(tensorflow::DEVICE_CPU), kernel)

SMDDP_REGISTER("SmddpAllReduce", AllReduceOp);
SMDDP_REGISTER("SmddpBroadcast", BroadcastOp);
SMDDP_REGISTER("SmddpAllGather", AllGatherOp);
SMDDP_REGISTER("SmddpReduceScatter", ReduceScatterOp);
SMDDP_REGISTER("SmddpAllToAll", AllToAllOp);
SMDDP_REGISTER("SmddpBarrier", BarrierOp);

template <typename Kernel>
void register_for_gpus(const char* op, std::initializer_list<const char*> on_host = {}) {
  tensorflow::KernelDefBuilder kernel{op};
  kernel.Device(tensorflow::DEVICE_GPU);
  for (const char* argument : on_host) kernel.HostMemory(argument);
  const tensorflow::kernel_factory::OpKernelRegistrar registrar{
      kernel.Build(), op,
      [](tensorflow::OpKernelConstruction* construction) -> tensorflow::OpKernel* {
        return new Kernel(construction);
      }};
}

}  // namespace
}  // namespace smddp::tf_adapter

/// Not done by loading: "GPU" is CUDA's in some builds of TensorFlow only, and Python knows in
/// which.
extern "C" __attribute__((visibility("default"))) void smddp_register_gpu_kernels() {
  using namespace smddp::tf_adapter;
  register_for_gpus<AllReduceOp>("SmddpAllReduce");
  register_for_gpus<BroadcastOp>("SmddpBroadcast");
  register_for_gpus<AllGatherOp>("SmddpAllGather");
  register_for_gpus<ReduceScatterOp>("SmddpReduceScatter");
  register_for_gpus<AllToAllOp>("SmddpAllToAll", {"splits", "received_splits"});
}

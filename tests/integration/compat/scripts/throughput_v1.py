"""Measures sums by address as the original's own benchmark does, and checks what they are."""

import argparse
import time

import numpy as np
import torch

import smdistributed.dataparallel as sdp
import smdistributed.dataparallel.torch.distributed as dist
import smddpcommon as hm

parser = argparse.ArgumentParser()
parser.add_argument("--size", type=int, default=1, help="MB of a tensor")
parser.add_argument("--num_tensors", type=int, default=8)
parser.add_argument("--iterations", type=int, default=3)
parser.add_argument("--bucket_size", type=int, default=25)
parser.add_argument("--fp32", action="store_true")
args, unknown = parser.parse_known_args()

dist.init_process_group()
hm.setBucketSize(args.bucket_size * 1024 * 1024)
rank, size = dist.get_rank(), dist.get_world_size()
dtype, hm_dtype = (torch.float32, hm.herringFloat32) if args.fp32 else (torch.float16, hm.herringFloat16)

numel = args.size * 1024 * 1024 // dtype.itemsize
tensors = [torch.full((numel,), float(rank + index), dtype=dtype) for index in range(args.num_tensors)]
times = []
for iteration in range(args.iterations):
    before = time.time()
    requests = []
    for index, tensor in enumerate(tensors):
        out = tensor.data_ptr() if iteration == 0 else 0
        task_id = sdp._get_id_for_herring_task()
        task = hm.allReduce(tensor.data_ptr(), out, hm_dtype, tensor.numel(), index, len(tensors), task_id)
        requests.append(task.request)
    for request in requests:
        hm.wait(request)
    times.append(time.time() - before)

for index, tensor in enumerate(tensors):
    expected = sum(other + index for other in range(size)) * size ** (args.iterations - 1)
    assert tensor.unique().tolist() == [expected], (index, tensor.unique(), expected)
if rank == 0:
    gigabytes = args.size * args.num_tensors / 1024
    kind = "fp32" if args.fp32 else "fp16"
    print("{} ranks, {}: {:.2f} GB/s".format(size, kind, gigabytes / np.min(times)), flush=True)

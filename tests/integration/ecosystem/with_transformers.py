"""Trainer on a tiny GPT-2 that is made here; with the argument "joined" in a group that the script has made before."""

from __future__ import annotations

import sys

import torch
import torch.distributed as dist
from accelerate import PartialState
from torch import nn
from transformers import GPT2Config, GPT2LMHeadModel, Trainer, TrainingArguments
from transformers.utils import is_sagemaker_dp_enabled

from problem import RATE, ROWS, STEPS, bits, difference, made, report

WORDS, LENGTH = 17, 8


def tokens() -> dict[str, torch.Tensor]:
    """The first word of a row has no label: nothing predicts it, and Trainer divides by the number of labels."""
    words = torch.randint(WORDS, (ROWS, LENGTH), generator=torch.Generator().manual_seed(12))
    return {"input_ids": words, "labels": words.index_fill(1, torch.tensor(0), -100)}


def language_model() -> nn.Module:
    config = GPT2Config(
        vocab_size=WORDS, n_positions=LENGTH, n_embd=8, n_layer=1, n_head=2, bos_token_id=0, eos_token_id=0
    )
    for dropout in ("resid_pdrop", "embd_pdrop", "attn_pdrop"):
        setattr(config, dropout, 0.0)
    return GPT2LMHeadModel(config).double()


def loss_of(model: nn.Module) -> torch.Tensor:
    return model(**tokens()).loss


def arguments(**options: object) -> TrainingArguments:
    return TrainingArguments(
        output_dir="trainer",
        max_steps=STEPS,
        per_device_train_batch_size=ROWS // 2,
        per_device_eval_batch_size=ROWS // 2,
        optim="sgd",
        learning_rate=RATE,
        lr_scheduler_type="constant",
        max_grad_norm=0.0,
        report_to="none",
        save_strategy="no",
        disable_tqdm=True,
        **options,
    )


def main() -> None:
    joined = sys.argv[1:] == ["joined"]
    if joined:
        import smdistributed.dataparallel.torch.torch_smddp  # noqa: F401 - registers backend "smddp"

        dist.init_process_group("smddp")
    args = arguments(use_cpu=True) if joined else arguments()
    model = made(language_model)
    rows = [dict(zip(("input_ids", "labels"), row, strict=True)) for row in zip(*tokens().values(), strict=True)]
    trainer = Trainer(model=model, args=args, train_dataset=rows, eval_dataset=rows)
    refusal = None
    try:
        trainer.train()
    except ValueError as problem:
        refusal = str(problem)
    report(
        detected=is_sagemaker_dp_enabled(),
        parallel_mode=args.parallel_mode.value,
        processes=args.world_size,
        local_rank=args.local_process_index,
        device=args.device.type,
        backend=PartialState().backend,
        wrapped=type(trainer.model_wrapped).__name__,
        refusal=refusal,
        eval_loss=trainer.evaluate()["eval_loss"],
        bits=bits(model),
        difference=difference(model, language_model, loss_of),
    )


if __name__ == "__main__":
    main()

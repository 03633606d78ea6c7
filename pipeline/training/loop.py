"""The training loop: an optimizer step from one total batch, in equal pieces.

The model sees micro-batches of (total batch / ranks / micro_batches) images. Data order, random
numbers, gradients and statistics of a step do not depend on how its micro-batches are divided over
ranks and time: 8 GPUs with 2 images each and 1 GPU with 8 times 2 images take the same steps, and
1, 2 or 4 processes on a CPU take them bit for bit.
"""

import torch
from mmengine.dist import get_rank, get_world_size
from mmengine.registry import LOOPS
from mmengine.runner import EpochBasedTrainLoop

from pipeline.detection.step_statistics import StepStatistics, one_step
from pipeline.params import Params
from pipeline.training.fixed_order import FixedOrderOptimWrapper
from pipeline.training.start import check_shares


@LOOPS.register_module()
class MicroBatchLoop(EpochBasedTrainLoop):
    """mmengine's loop by epochs, whose iteration is one optimizer step.

    Args:
        seed: of all random numbers drawn in training.
        micro_batches: how many forward and backward passes each rank takes for one step.
    """

    def __init__(self, runner, dataloader, max_epochs, seed, micro_batches=1):
        super().__init__(runner, dataloader, max_epochs)
        self.seed = seed
        self.micro_batches = micro_batches
        self.logs = StepLogs()

    def run(self):
        """Train; mmengine's optimizer wrapper counts micro-batches, the runner counts steps."""
        counts = (self._iter * self.micro_batches, self._max_iters * self.micro_batches)
        self.runner.optim_wrapper.initialize_count_status(self.runner.model, *counts)
        return super().run()

    def run_epoch(self):
        """mmengine's, from the step that a resumed run had reached."""
        done = self._iter - self._epoch * len(self.dataloader)
        self.dataloader.dataset.epoch = self._epoch
        self.dataloader.batch_sampler.skip = done
        self.runner.call_hook("before_train_epoch")
        self.runner.model.train()
        for index, data_batch in enumerate(self.dataloader, start=done):
            self.run_iter(index, data_batch)
        self.runner.call_hook("after_train_epoch")
        self._epoch += 1

    def run_iter(self, idx, data_batch):
        """One optimizer step; the hooks get the mean of all ranks' micro-batches' losses."""
        self.runner.call_hook("before_train_iter", batch_idx=idx, data_batch=data_batch)
        with one_step(self.runner.model, self.micro_batches, beside=[self.logs]):
            for number in range(self.micro_batches):
                self.logs.record_named(self.micro_step(data_batch, number))
        self.runner.call_hook(
            "after_train_iter", batch_idx=idx, data_batch=data_batch, outputs=self.logs.means
        )
        self._iter += 1

    def micro_step(self, data_batch, number):
        part = {key: items[number :: self.micro_batches] for key, items in data_batch.items()}
        torch.manual_seed(self.micro_batch_seed(get_rank() + get_world_size() * number))
        return self.runner.model.train_step(part, self.runner.optim_wrapper)

    def micro_batch_seed(self, part):
        return (self.seed * 1_000_003 + self._iter) * 1_009 + part


class StepLogs(StepStatistics):
    """The ``means`` of what the pieces of a step log, by name; nothing waits for the device."""

    def record_named(self, logs):
        self.names = list(logs)
        self.record(torch.stack([logs[name].detach().float() for name in self.names])[None])

    def update(self, values):
        """``values`` [P, K]: a row a piece."""
        self.means = dict(zip(self.names, values.mean(dim=0), strict=True))


def divide(config, params: Params, world_size: int) -> None:
    """Set in ``config`` how its total batch is divided over ranks, micro-batches and workers.

    ``ValueError`` where the total does not divide evenly.
    """
    compute, train = params.compute, params.train
    check_shares(train, world_size)
    share = train.batch_size // world_size
    micro_batches = fewest_equal_parts(share, train.micro_batch or compute.images_per_gpu)
    config.train_dataloader.num_workers = compute.workers
    config.train_dataloader.worker_init_fn = dict(type="survive_signals")
    config.default_hooks.checkpoint.minutes = compute.checkpoint_minutes
    config.train_dataloader.batch_sampler.parts = world_size * micro_batches
    config.train_cfg.micro_batches = micro_batches
    config.optim_wrapper.accumulative_counts = micro_batches
    if not torch.cuda.is_available():
        config.optim_wrapper.type = FixedOrderOptimWrapper


def fewest_equal_parts(images, limit):
    """The smallest number that divides ``images`` into parts of at most ``limit`` (None: 1)."""
    if limit is None:
        return 1
    return next(n for n in range(1, images + 1) if images % n == 0 and images // n <= limit)

"""The training loop: an optimizer step from one total batch, in as many pieces as memory asks for.

The model sees micro-batches of (total batch / GPUs / micro_batches) images. Data order, random
numbers, gradients and statistics of a step do not depend on how its micro-batches are divided over
GPUs and time: 8 GPUs with 2 images each and 1 GPU with 8 times 2 images take the same steps.
"""

import torch
from mmengine.dist import get_rank, get_world_size
from mmengine.registry import LOOPS
from mmengine.runner import EpochBasedTrainLoop

from pipeline.detection.step_statistics import one_step
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
        """One optimizer step; the hooks get the mean of the micro-batches' losses."""
        self.runner.call_hook("before_train_iter", batch_idx=idx, data_batch=data_batch)
        with one_step(self.runner.model):
            logs = [self.micro_step(data_batch, n) for n in range(self.micro_batches)]
        self.runner.call_hook(
            "after_train_iter", batch_idx=idx, data_batch=data_batch, outputs=mean_logs(logs)
        )
        self._iter += 1

    def micro_step(self, data_batch, number):
        part = {key: items[number :: self.micro_batches] for key, items in data_batch.items()}
        torch.manual_seed(self.micro_batch_seed(get_rank() + get_world_size() * number))
        return self.runner.model.train_step(part, self.runner.optim_wrapper)

    def micro_batch_seed(self, part):
        return (self.seed * 1_000_003 + self._iter) * 1_009 + part


def mean_logs(logs):
    """The mean of each logged tensor; nothing waits for the device."""
    if len(logs) == 1:
        return logs[0]
    return {key: torch.stack([log[key] for log in logs]).mean() for key in logs[0]}


def divide(config, compute, world_size: int) -> None:
    """Set in ``config`` how its total batch is divided over GPUs, micro-batches and workers.

    ``ValueError`` where the total does not divide evenly.
    """
    total = config.train_dataloader.batch_size
    check_shares(total, world_size)
    micro_batches = fewest_equal_parts(total // world_size, compute.images_per_gpu)
    config.train_dataloader.num_workers = compute.workers
    config.train_dataloader.worker_init_fn = dict(type="survive_signals")
    config.default_hooks.checkpoint.minutes = compute.checkpoint_minutes
    config.train_dataloader.batch_sampler.parts = world_size * micro_batches
    config.train_cfg.micro_batches = micro_batches
    config.optim_wrapper.accumulative_counts = micro_batches


def fewest_equal_parts(images, limit):
    """The smallest number that divides ``images`` into parts of at most ``limit`` (None: 1)."""
    if limit is None:
        return 1
    return next(n for n in range(1, images + 1) if images % n == 0 and images // n <= limit)

"""What plots of the reports share: the axis of training counts, means along it, and the legend.

Under the grouping of SimCal's bins, training objects take the place of training images.
"""

import matplotlib.ticker
import numpy as np

from pipeline.pages.style import COLOURS

GROUP_COLOURS = (COLOURS[3], "#b07c10", COLOURS[2], COLOURS[0])  # like the page's
LETTERS_PER_INCH = 12
NO_IMAGE = 0.5  # where a category that is not in training stands on a log axis


def axis_counts(categories, grouping):
    return categories[grouping.count].clip(lower=NO_IMAGE)


def log_counts(axes, grouping):
    """The x axis of training counts."""
    axes.set_xscale("log")
    axes.xaxis.set_major_formatter(matplotlib.ticker.FormatStrFormatter("%g"))
    axes.set_xlabel(f"training {grouping.unit} of the category (log)")


def binned_means(counts, ap):
    """Means over bins of equal width on a log axis: (bins,) training images, (bins,) AP.

    The first is the geometric mean of a bin's counts. At most 10 bins, fewer for few categories;
    bins without a category are left out.
    """
    logs = np.log(counts)
    bins = int(np.clip(len(counts) // 5, 1, 10))
    edges = np.linspace(logs.min(), logs.max(), bins + 1)
    bin_of = np.digitize(logs, edges[1:-1])
    members = [bin_of == i for i in range(bins) if (bin_of == i).any()]
    return (
        np.array([np.exp(logs[m].mean()) for m in members]),
        np.array([ap[m].mean() for m in members]),
    )


def legend_above(figure, axes):
    """One legend for all panels, in as many columns as the longest name leaves room for."""
    handles, labels = axes.get_legend_handles_labels()
    if handles:
        room = figure.get_figwidth() * LETTERS_PER_INCH // (max(map(len, labels)) + 7)
        columns = int(np.clip(room, 1, len(labels)))
        figure.legend(handles, labels, loc="outside upper left", ncols=columns)

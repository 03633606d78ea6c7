"""The inner loop of the bootstrap, compiled: on LVIS more than a thousand million steps.

The replicates lie side by side in memory (``LANES`` of them at a time), so that each step is a few
vector instructions for all of them.
"""

import numpy as np
from numba import njit

LANES = 64
# `numpy`: no check for a division by 0, which would keep the loops from using vectors
compiled = njit(nogil=True, cache=True, error_model="numpy")


@compiled
def weighted_ap(weights, image, always, object_image, slots, ends, right, thresholds):
    """AP [B] of one category under the image ``weights`` [I, B]; NaN without an object.

    ``image`` [D]: of the category's detections, the best score first; ``always`` [D]: counted at
    every IoU threshold. ``slots[ends[t] : ends[t + 1]]`` are the detections that are correct
    (``right``) at IoU threshold t, and those that are counted there but not at every threshold.
    """
    lanes = weights.shape[1]
    objects = np.zeros(lanes, np.int32)
    for i in object_image:
        objects += weights[i]
    reach = counts_to_reach(thresholds, objects)
    steady = running_sums(weights, image, always)
    total = np.zeros(lanes)
    found = np.empty((len(image) + 1, lanes), np.int32)
    precision = np.empty((len(image) + 1, lanes))
    for threshold in range(len(ends) - 1):
        start, end = ends[threshold], ends[threshold + 1]
        length = walk(
            weights, image, always, steady, slots[start:end], right[start:end], found, precision
        )
        total += area(found, precision, length, reach)
    total /= len(thresholds) * (len(ends) - 1)
    return np.where(objects > 0, total, np.nan)


@compiled
def counts_to_reach(thresholds, objects):
    """[B, thresholds]: how many of the objects reach each one, as lvis-api's floats compare.

    35 of 100 do not reach its 0.35000000000000003. None is reached without a correct detection.
    """
    counts = np.ones((len(objects), len(thresholds)), np.int32)
    for lane, size in enumerate(objects):
        for i, threshold in enumerate(thresholds):
            count = max(int(threshold * size), 1)
            while count / size < threshold:
                count += 1
            counts[lane, i] = count
    return counts


@compiled
def running_sums(weights, image, always):
    """[D, B]: the weight of the always counted detections up to each."""
    sums = np.empty((len(image), weights.shape[1]), np.int32)
    total = np.zeros(weights.shape[1], np.int32)
    for row in range(len(image)):
        if always[row]:
            total += weights[image[row]]
        sums[row] = total
    return sums


@compiled
def walk(weights, image, always, steady, slots, right, found, precision):
    """Fill in, at each correct detection, the weight of the correct ones so far and the precision.

    A correct detection of weight 0 changes no sum, and its precision is not better than the last
    one's; so it needs no case of its own. Gives the number of correct detections.
    """
    lanes = weights.shape[1]
    hits, extra, length = np.zeros(lanes, np.int32), np.zeros(lanes, np.int32), 0
    for place in range(len(slots)):
        row = slots[place]
        mine = weights[image[row]]
        if not always[row]:
            extra += mine
        if right[place]:
            hits += mine
            found[length] = hits
            seen = steady[row] + extra
            for lane in range(lanes):
                precision[length, lane] = np.float64(hits[lane]) / np.float64(max(seen[lane], 1))
            length += 1
    return length


@compiled
def area(found, precision, length, reach):
    """[B]: the sum over the recall thresholds of the best precision where they are reached."""
    lanes, last = found.shape[1], reach.shape[1] - 1
    total, best = np.zeros(lanes), np.zeros(lanes)
    level = np.full(lanes, last)
    if length:
        for lane in range(lanes):
            while level[lane] >= 0 and reach[lane, level[lane]] > found[length - 1, lane]:
                level[lane] -= 1
    for row in range(length - 1, -1, -1):
        for lane in range(lanes):
            best[lane] = max(best[lane], precision[row, lane])
        for lane in range(lanes):
            before = found[row - 1, lane] if row else 0
            while level[lane] >= 0 and reach[lane, level[lane]] > before:
                total[lane] += best[lane]
                level[lane] -= 1
    return total

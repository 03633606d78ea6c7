"""The inner loop of the bootstrap, compiled: thousands of millions of steps on LVIS."""

import numpy as np
from numba import njit


@njit(nogil=True, cache=True)
def weighted_ap(weights, image, always, object_image, events, right, ends, thresholds):
    """AP [R] of one category under each row of image ``weights`` [R, I]; NaN without an object.

    ``image`` [D]: of the category's detections, the best score first; ``always`` [D]: counted at
    every IoU threshold. ``events[ends[t] : ends[t + 1]]`` are the detections that are correct
    (``right``) at IoU threshold t, and those that are counted there but not at every threshold.
    """
    result = np.full(len(weights), np.nan)
    steady = np.empty(len(image), np.int64)
    found, precision = np.empty(len(image) + 1, np.int64), np.empty(len(image) + 1)
    for replicate in range(len(weights)):
        weight = weights[replicate]
        objects = weighted_sum(weight, object_image)
        if objects == 0:
            continue
        reach = counts_to_reach(thresholds, objects)
        running_sum(weight, image, always, steady)
        total = 0.0
        for start, end in zip(ends[:-1], ends[1:]):
            length = walk(
                weight, image, always, steady, events[start:end], right[start:end], found, precision
            )
            total += area(found[:length], precision[:length], reach)
        result[replicate] = total / (len(thresholds) * (len(ends) - 1))
    return result


@njit(nogil=True, cache=True)
def weighted_sum(weight, image):
    total = 0
    for i in image:
        total += weight[i]
    return total


@njit(nogil=True, cache=True)
def counts_to_reach(thresholds, objects):
    """How many of the objects reach each recall threshold, as lvis-api's floats compare.

    35 of 100 do not reach its 0.35000000000000003.
    """
    counts = np.empty(len(thresholds), np.int64)
    for i, threshold in enumerate(thresholds):
        count = max(int(threshold * objects) - 1, 1)  # no recall without a correct detection
        while count / objects < threshold:
            count += 1
        counts[i] = count
    return counts


@njit(nogil=True, cache=True)
def running_sum(weight, image, always, steady):
    total = 0
    for row in range(len(image)):
        total += np.int64(weight[image[row]]) * always[row]
        steady[row] = total


@njit(nogil=True, cache=True)
def walk(weight, image, always, steady, events, right, found, precision):
    """Fill in, at each correct detection, the weight of the correct ones so far and the precision.

    Free of branches that depend on the weights: those would be as slow as all the rest. A correct
    detection of weight 0 changes no sum, and its precision is not better than the last one's.
    """
    hits, extra, length = 0, 0, 0
    for place in range(len(events)):
        row = events[place]
        mine = np.int64(weight[image[row]])
        extra += mine * (not always[row])
        hits += mine * right[place]
        found[length], precision[length] = hits, hits / max(steady[row] + extra, 1)
        length += right[place]
    return length


@njit(nogil=True, cache=True)
def area(found, precision, reach):
    """The sum over the recall thresholds of the best precision where they are reached."""
    total, best, level = 0.0, 0.0, len(reach) - 1
    while level >= 0 and (not len(found) or reach[level] > found[-1]):
        level -= 1
    for row in range(len(found) - 1, -1, -1):
        best = max(best, precision[row])
        before = found[row - 1] if row else 0
        while level >= 0 and reach[level] > before:
            total += best
            level -= 1
    return total

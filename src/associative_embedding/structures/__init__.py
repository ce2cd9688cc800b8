"""The values that all rooms share. They import no other room.

Letters in the shapes of arrays mean the same in every module:

=======  =====================================================================
``B``    images of a batch
``C``    heatmap channels: a keypoint type (pose) or a class (segmentation)
``K``    keypoint types of a skeleton
``N``    instances: people, animals, objects
``M``    detections, or samples of tags
``G``    groups: the detections of one instance, or the instances of one track
``D``    tag dimensions; scales and mirror images multiply it at prediction
``H W``  height and width of an image or of the network's input
``h w``  height and width of a map, or of the crop of a mask
=======  =====================================================================

Coordinates of images and inputs are continuous: pixel i covers ``[i, i + 1)`` and has its centre at ``i + 0.5``. Map
coordinates are indices: the centre of map pixel i is at i, so ``map = input / stride - 0.5``. A mirror maps x to
``W - x``. Points are ``x, y``, sizes are ``(H, W)``, and the name of a box states its order: ``xywh`` or ``xyxy``.
"""

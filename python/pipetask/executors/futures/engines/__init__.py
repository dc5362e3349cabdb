"""The engines that come with pipetask."""

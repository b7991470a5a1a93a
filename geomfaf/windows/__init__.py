"""A stack and deposits go in; windows, folds that share no ground, and their features come out."""

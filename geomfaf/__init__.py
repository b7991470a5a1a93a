"""geomfaf: from stream sediments, geology, faults and deposits to an honest target map."""

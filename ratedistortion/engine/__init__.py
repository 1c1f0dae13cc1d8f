"""Many runs on many devices, as one compiled job."""

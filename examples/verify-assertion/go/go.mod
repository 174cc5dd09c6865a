module verify-assertion

go 1.19

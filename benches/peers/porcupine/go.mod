module gainsay.example/porcupine

go 1.19

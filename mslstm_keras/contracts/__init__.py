"""What every cell and every model keeps, whoever has written it. Each function raises where one promise is broken."""

"""Tables, plots and the HTML page: everything in reports/ that is made from finished results."""

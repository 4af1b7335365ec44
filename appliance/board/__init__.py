"""What is soldered to the board: buttons and lights."""

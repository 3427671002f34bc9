"""What is learned and judged: pure functions over tables, without Ray and without MLflow."""

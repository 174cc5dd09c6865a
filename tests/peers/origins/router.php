<?php // An app on PHP's built-in server: the paths that tests/peers/test_origins.py asks for.
switch (basename(parse_url($_SERVER["REQUEST_URI"], PHP_URL_PATH))) {
    case "hello":
        header("Content-Length: 5");
        echo "hello";
        break;
    case "stream":
        for ($number = 0; $number < 50; $number++) {
            echo "part $number\n";
            flush();
        }
        break;
    case "large":
        $large = str_repeat(implode("", array_map("chr", range(0, 255))), 8192);
        header("Content-Length: " . strlen($large));
        echo $large;
        break;
    case "empty":
        http_response_code(204);
        break;
    case "unchanged":
        header('ETag: "x"', true, 304);
        break;
    case "moved":
        header("Location: hello", true, 302);
        break;
    default:
        echo file_get_contents("php://input");
}

//! The invented catalogue of the phantom shop: everyday goods, and goods that serve a taste.

use rand::SeedableRng as _;
use rand::seq::SliceRandom as _;
use rand_chacha::ChaCha8Rng;
use schema::CatalogueItem;

/// Stream of the order of item numbers.
const CATALOGUE_STREAM: u64 = 1 << 41;

/// Names of the tastes that are planted in shoppers.
pub const TASTES: [&str; 14] = [
    "dark chocolate",
    "gluten free baking",
    "loose leaf tea",
    "espresso at home",
    "newborn baby",
    "cat owner",
    "hot and spicy",
    "vegan protein",
    "wild bird garden",
    "natural cleaning",
    "noodle soups",
    "italian kitchen",
    "hiking and camping",
    "party hosting",
];

/// A product and its category.
type Product = (&'static str, &'static str);

/// The seven products of each taste, in the order in which shoppers tend to go through them.
const PRODUCTS: [[Product; 7]; TASTES.len()] = [
    [
        ("Dark Chocolate Bar 70%", "Sweets"),
        ("Dark Chocolate Sea Salt Bark", "Sweets"),
        ("Dark Chocolate Almonds", "Snacks"),
        ("Dark Cocoa Powder", "Baking"),
        ("Dark Chocolate Baking Chips", "Baking"),
        ("Dark Chocolate Granola", "Breakfast"),
        ("Dark Chocolate Sorbet", "Frozen"),
    ],
    [
        ("Gluten Free Flour Blend", "Baking"),
        ("Gluten Free Brownie Mix", "Baking"),
        ("Xanthan Gum", "Baking"),
        ("Gluten Free Pancake Mix", "Breakfast"),
        ("Gluten Free Bread Loaf", "Bakery"),
        ("Gluten Free Pizza Crust", "Frozen"),
        ("Gluten Free Ginger Cookies", "Snacks"),
    ],
    [
        ("Loose Leaf Assam Tea", "Tea and coffee"),
        ("Loose Leaf Oolong Tea", "Tea and coffee"),
        ("Loose Leaf Green Tea", "Tea and coffee"),
        ("Tea Strainer", "Kitchenware"),
        ("Glass Teapot", "Kitchenware"),
        ("Acacia Honey for Tea", "Pantry"),
        ("Shortbread Tea Fingers", "Snacks"),
    ],
    [
        ("Espresso Beans Dark Roast", "Tea and coffee"),
        ("Espresso Beans Decaf", "Tea and coffee"),
        ("Milk Frothing Jug", "Kitchenware"),
        ("Espresso Tamper", "Kitchenware"),
        ("Barista Oat Milk", "Dairy and plant milk"),
        ("Espresso Machine Descaler", "Household"),
        ("Almond Biscotti for Espresso", "Snacks"),
    ],
    [
        ("Newborn Diapers", "Baby"),
        ("Baby Wipes Sensitive", "Baby"),
        ("Infant Formula", "Baby"),
        ("Baby Lotion", "Personal care"),
        ("Baby Laundry Detergent", "Household"),
        ("Nursing Tea", "Tea and coffee"),
        ("Baby Bottle Brush", "Kitchenware"),
    ],
    [
        ("Cat Food Salmon Pouches", "Pet"),
        ("Cat Food Chicken Kibble", "Pet"),
        ("Clumping Cat Litter", "Pet"),
        ("Cat Treats with Catnip", "Pet"),
        ("Cat Hair Lint Roller", "Household"),
        ("Cat Grass Seeds", "Garden"),
        ("Lactose Free Cat Milk", "Dairy and plant milk"),
    ],
    [
        ("Habanero Hot Sauce", "Pantry"),
        ("Ghost Pepper Salsa", "Pantry"),
        ("Spicy Chili Crisp", "Pantry"),
        ("Spicy Lime Tortilla Chips", "Snacks"),
        ("Hot Pepper Jack Cheese", "Dairy and plant milk"),
        ("Spicy Chicken Wings", "Frozen"),
        ("Chili Pepper Seeds", "Garden"),
    ],
    [
        ("Vegan Pea Protein Powder", "Sports nutrition"),
        ("Vegan Protein Bars", "Snacks"),
        ("Protein Soy Milk", "Dairy and plant milk"),
        ("Smoked Tofu", "Chilled"),
        ("Tempeh Block", "Chilled"),
        ("Vegan Protein Oats", "Breakfast"),
        ("Vegan Burger Patties", "Frozen"),
    ],
    [
        ("Wild Bird Seed Mix", "Garden"),
        ("Suet Balls for Wild Birds", "Garden"),
        ("Bird Feeder Station", "Garden"),
        ("Nesting Box", "Garden"),
        ("Peanuts for Wild Birds", "Pet"),
        ("Bird Bath Cleaner", "Household"),
        ("Field Guide to Garden Birds", "Books"),
    ],
    [
        ("White Vinegar Cleaner", "Household"),
        ("Washing Soda", "Household"),
        ("Citric Acid Descaler", "Household"),
        ("Castile Soap", "Personal care"),
        ("Baking Soda Large Bag", "Baking"),
        ("Lavender Essential Oil", "Personal care"),
        ("Bamboo Scrub Brush", "Kitchenware"),
    ],
    [
        ("Miso Ramen Noodles", "Pantry"),
        ("Udon Noodles", "Pantry"),
        ("Dashi Stock", "Pantry"),
        ("Rice Noodle Pho Kit", "Pantry"),
        ("Noodle Soup Bowls", "Kitchenware"),
        ("Fish Cakes for Ramen", "Frozen"),
        ("Marinated Ramen Eggs", "Chilled"),
    ],
    [
        ("Durum Spaghetti", "Pantry"),
        ("San Marzano Tomatoes", "Pantry"),
        ("Extra Virgin Olive Oil", "Pantry"),
        ("Parmesan Wedge", "Dairy and plant milk"),
        ("Fresh Basil Pot", "Garden"),
        ("Pasta Machine", "Kitchenware"),
        ("Focaccia", "Bakery"),
    ],
    [
        ("Camping Trail Mix", "Snacks"),
        ("Freeze Dried Camping Meal", "Pantry"),
        ("Camping Gas Cartridge", "Outdoor"),
        ("Insulated Hiking Bottle", "Outdoor"),
        ("Hiking Blister Plasters", "Personal care"),
        ("Hiking Insect Repellent", "Personal care"),
        ("Mountain Trails Guide", "Books"),
    ],
    [
        ("Paper Party Plates", "Household"),
        ("Party Napkins", "Household"),
        ("Party Ice Cubes", "Frozen"),
        ("Sparkling Party Punch", "Drinks"),
        ("Party Cocktail Olives", "Pantry"),
        ("Party Pretzel Mix", "Snacks"),
        ("Birthday Candles", "Household"),
    ],
];

/// The two invented brands of each taste's products.
const TASTE_BRANDS: [[&str; 2]; TASTES.len()] = [
    ["Noirelle", "Kakavo"],
    ["Grainless Hill", "Tender Mill"],
    ["Leaf & Ledger", "Tarnwick"],
    ["Cremona Nove", "Portafolk"],
    ["Lullawee", "Moonpram"],
    ["Whiskerby", "Purrden"],
    ["Embertongue", "Fuego Nord"],
    ["Greenlift", "Pulsefolk"],
    ["Finchhaven", "Sparrow Row"],
    ["Plainbright", "Hearthleaf"],
    ["Umi Lane", "Broth & Bell"],
    ["Casa Verdolo", "Nonna Pirra"],
    ["Ridgeway Nine", "Cairnsmith"],
    ["Jollifare", "Confetti & Co"],
];

/// Everyday goods that anyone buys, the popular ones first.
const EVERYDAY: [Product; 26] = [
    ("Bananas", "Produce"),
    ("Whole Milk", "Dairy and plant milk"),
    ("Free Range Eggs", "Chilled"),
    ("Sliced White Bread", "Bakery"),
    ("Salted Butter", "Dairy and plant milk"),
    ("Toilet Paper", "Household"),
    ("Apples", "Produce"),
    ("Potatoes", "Produce"),
    ("Orange Juice", "Drinks"),
    ("Chicken Breast", "Chilled"),
    ("Toothpaste", "Personal care"),
    ("Dish Soap", "Household"),
    ("Plain Yogurt", "Dairy and plant milk"),
    ("Corn Flakes", "Breakfast"),
    ("Mineral Water", "Drinks"),
    ("Onions", "Produce"),
    ("Table Salt", "Pantry"),
    ("Frozen Peas", "Frozen"),
    ("Shampoo", "Personal care"),
    ("Trash Bags", "Household"),
    ("Strawberry Jam", "Pantry"),
    ("Potato Chips", "Snacks"),
    ("Paper Towels", "Household"),
    ("Vanilla Ice Cream", "Frozen"),
    ("Batteries AA", "Household"),
    ("Light Bulbs", "Household"),
];

/// The invented brands of everyday goods.
const EVERYDAY_BRANDS: [&str; 4] = ["Dailywell", "Corner & Sons", "Merrimart", "Oakbasket"];

/// A taste with the items that serve it.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Taste {
    /// One of [`TASTES`].
    pub name: String,
    /// Its item ids (from 1), in the order in which shoppers tend to go through them.
    pub items: Vec<u32>,
}

/// The catalogue with what serves which taste.
#[derive(Debug)]
pub(super) struct Catalogue {
    /// All items, by id.
    pub(super) items: Vec<CatalogueItem>,
    /// All tastes, in the order of [`TASTES`].
    pub(super) tastes: Vec<Taste>,
    /// Everyday items, the popular ones first.
    pub(super) everyday: Vec<u32>,
}

impl Catalogue {
    /// The catalogue of a seed: the same goods for all, their ids in an order of the seed, so
    /// that an id says nothing of the taste.
    pub(super) fn new(seed: u64) -> Self {
        let count = TASTES.len() * 14 + EVERYDAY.len() * EVERYDAY_BRANDS.len();
        let mut ids: Vec<u32> = (1..=count as u32).collect();
        let mut rng = ChaCha8Rng::seed_from_u64(seed);
        rng.set_stream(CATALOGUE_STREAM);
        ids.shuffle(&mut rng);
        let mut ids = ids.into_iter();
        let mut items = Vec::with_capacity(count);
        let mut add = |brand: &str, (product, category): Product| -> Option<u32> {
            let id = ids.next()?;
            items.push(CatalogueItem {
                id,
                title: format!("{brand} {product}"),
                categories: vec![category.to_owned()],
                ..CatalogueItem::default()
            });
            Some(id)
        };
        let tastes = TASTES
            .iter()
            .zip(PRODUCTS.iter().zip(TASTE_BRANDS))
            .map(|(name, (products, brands))| Taste {
                name: (*name).to_owned(),
                items: brands
                    .iter()
                    .flat_map(|brand| products.iter().map(move |product| (*brand, *product)))
                    .filter_map(|(brand, product)| add(brand, product))
                    .collect(),
            })
            .collect();
        let everyday = EVERYDAY_BRANDS
            .iter()
            .flat_map(|brand| EVERYDAY.iter().map(move |product| (*brand, *product)))
            .filter_map(|(brand, product)| add(brand, product))
            .collect();
        items.sort_by_key(|item| item.id);
        Self {
            items,
            tastes,
            everyday,
        }
    }
}
